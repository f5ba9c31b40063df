from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.annotate.alignment import COLUMNS
from fantasia_dask.annotate.transfer import reliability_index, transfer_terms, write_annotations
from fantasia_dask.schema import ANNOTATIONS, HITS, PROTEINS, RAW_ANNOTATIONS, TERMS, Space, names

SPACE = Space("Prot-T5", layer=0, dimension=4)
NUMBERING = ["query_idx", "ref_idx"]


def frame(rows, table):
    return pd.DataFrame(rows, columns=names(table)).astype({column.name: column.dtype for column in table})


@pytest.fixture
def small():
    """Row 0 has two proteins, the second with two codes for one term; row 1 has no annotation, row 2 no sequence."""
    proteins = [
        (0, 0, "P0", 9606, "Homo sapiens", "A", 3, "MKT"),
        (1, 1, "P1", 9606, "Homo sapiens", "B", 4, "MKTA"),
        (2, 2, "P2", 0, "", "", 0, ""),
        (3, 0, "P3", 10090, "Mus musculus", "C", 3, "MKT"),
    ]
    annotations = [
        (3, "GO:2", "P", "IDA", "", "PMID:1", "20200101"),
        (3, "GO:2", "P", "IDA", "", "PMID:2", "20210101"),
        (3, "GO:2", "P", "EXP", "", "PMID:1", "20200101"),
        (0, "GO:1", "F", "IDA", "", "", ""),
        (2, "GO:3", "C", "", "", "", ""),
    ]
    terms = [("GO:1", "one, with comma", "F", False, ""), ("GO:2", 'two "quoted"', "P", False, "")]
    return {
        "queries": pd.DataFrame(
            {
                "row": [0, 1, 2],
                "accession": ["NA", "00123", "x"],
                "length": [3, 5, 0],
                "sequence": ["MKT", "MKTAY", ""],
                "distinct": [0, 1, 2],
            }
        ),
        "proteins": frame(proteins, PROTEINS),
        "annotations": frame(annotations, ANNOTATIONS),
        "terms": frame(terms, TERMS),
        "space": SPACE,
    }


def test_transfer_terms__lines_and_their_order(small):
    hits = frame([(1, 2, 2, 0.5), (1, 1, 0, 0.25), (0, 1, 1, 0.1), (0, 2, 0, 0.2)], HITS)
    lines = transfer_terms(hits, **small, type_id=3)
    assert lines[["accession", "protein_id", "go_id", "evidence_code"]].to_numpy().tolist() == [
        ["NA", "P0", "GO:1", "IDA"],
        ["NA", "P3", "GO:2", "IDA"],
        ["NA", "P3", "GO:2", "EXP"],
        ["00123", "P0", "GO:1", "IDA"],
        ["00123", "P3", "GO:2", "IDA"],
        ["00123", "P3", "GO:2", "EXP"],
        ["00123", "P2", "GO:3", ""],
    ]
    assert lines["category"].tolist() == ["MF", "BP", "BP", "MF", "BP", "BP", "CC"]
    assert lines["go_description"].iloc[[0, 1, 6]].tolist() == ["one, with comma", 'two "quoted"', ""]
    assert lines["identity"].tolist()[:3] == [1, 1, 1]
    assert math.isnan(lines["identity"].iloc[6])
    assert lines["reliability_index"].iloc[6] == 0.5
    assert lines["distance_threshold"].isna().all()


def test_transfer_terms__columns_and_dtypes(small):
    for hits in (frame([(1, 1, 0, 0.25)], HITS), frame([], HITS), frame([(0, 1, 1, 0.1)], HITS)):
        lines = transfer_terms(hits, **small)
        assert {name: str(kind) for name, kind in lines.dtypes.items()} == {
            column.name: column.dtype for column in RAW_ANNOTATIONS
        }
        assert list(lines.columns) == names(RAW_ANNOTATIONS)


def test_transfer_terms__filtered_protein_lends_nothing(small):
    small["proteins"] = small["proteins"].iloc[[0, 1, 2]]
    lines = transfer_terms(frame([(1, 1, 0, 0.25)], HITS), **small)
    assert lines["protein_id"].tolist() == ["P0"]


def test_transfer_terms__without_alignments_or_sequences(small):
    hits = frame([(1, 1, 0, 0.25)], HITS)
    lines = transfer_terms(hits, **small, alignments="none", keep_sequences=False, threshold=0.5)
    assert lines[list(COLUMNS)].isna().all(axis=None)
    assert (lines[["sequence_query", "sequence_reference"]] == "").all(axis=None)
    assert lines["distance_threshold"].tolist() == [0.5] * 3
    with pytest.raises(ValueError, match="blast"):
        transfer_terms(hits, **small, alignments="blast")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_transfer_terms__naive(data):
    rows = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=8), label="row of each protein")
    proteins = [(i, row, f"P{i}", 1, "", "", 3, "MKT") for i, row in enumerate(rows)]
    drawn = st.tuples(st.integers(0, len(rows) - 1), st.sampled_from(["GO:1", "GO:2"]), st.sampled_from("XY"))
    notes = [(p, go, "F", code, "", str(i), "") for i, (p, go, code) in enumerate(data.draw(st.lists(drawn)))]
    hits = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=10, unique=True))
    ranked = [(query, rank, row, rank / 100) for rank, (query, row) in enumerate(hits, 1)]
    keep = sorted(data.draw(st.sets(st.integers(0, len(rows) - 1))))
    queries = pd.DataFrame({"row": range(4), "accession": list("abcd"), "length": 3, "sequence": "MKT", "distinct": 0})
    expected = []
    for query, rank, row, _ in sorted(ranked):
        for number, at, accession, *_ in proteins:
            seen = dict.fromkeys((go, code) for p, go, _, code, *_ in notes if p == number)
            if at == row and number in keep:
                expected += [("abcd"[query], rank, accession, go, code) for go, code in seen]
    lines = transfer_terms(
        frame(ranked, HITS).sample(frac=1, random_state=0),
        queries=queries.iloc[::-1],
        proteins=frame(proteins, PROTEINS).iloc[keep[::-1]],
        annotations=frame(notes, ANNOTATIONS),
        terms=frame([], TERMS),
        space=SPACE,
        alignments="none",
    )
    ranks = (lines["distance"] * 100).round().astype(int)
    found = zip(lines["accession"], ranks, lines["protein_id"], lines["go_id"], lines["evidence_code"], strict=True)
    assert list(found) == expected


@pytest.mark.parametrize(("metric", "expected"), [("cosine", [1, 0.5, -1]), ("euclidean", [1, 0.5, 0.2])])
def test_reliability_index(metric, expected):
    assert reliability_index(np.array([0, 0.5, 2]), metric).tolist() == expected


def test_reliability_index__unknown_metric():
    with pytest.raises(ValueError, match="manhattan"):
        reliability_index(np.zeros(1), "manhattan")


def test_write_annotations__same_bytes_same_table(small, tmp_path):
    lines = transfer_terms(frame([(1, 1, 0, 0.25)], HITS), **small)
    for name in ("one", "two"):
        write_annotations(lines, tmp_path / name / "part-00000.parquet")
    assert (tmp_path / "one/part-00000.parquet").read_bytes() == (tmp_path / "two/part-00000.parquet").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "one"), lines)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["part-00000.parquet"]


def test_write_annotations__empty(small, tmp_path):
    write_annotations(transfer_terms(frame([], HITS), **small), tmp_path / "none.parquet")
    back = pd.read_parquet(tmp_path / "none.parquet")
    assert list(back.columns) == names(RAW_ANNOTATIONS)
    assert len(back) == 0


CASES = [
    ("cosine_k5", "Prot-T5", 0, "cosine", None, ()),
    ("euclidean_k5", "Prot-T5", 0, "euclidean", None, ()),
    ("threshold", "Prot-T5", 0, "cosine", 0.05, ()),
    # With an exclude list, FANTASIA also drops proteins whose taxon is not known.
    ("tax_exclude", "Prot-T5", 0, "cosine", None, (559292, 6239, 0)),
    ("multi", "ESM", 0, "cosine", None, ()),
    ("multi", "Prot-T5", 0, "cosine", None, ()),
    ("multi", "Prot-T5", 1, "cosine", None, ()),
]


def as_written(lines):
    """Lines as text, with FANTASIA's four decimals."""
    lines = lines.drop(columns=NUMBERING)
    for name in lines.columns[lines.dtypes == "float64"]:
        lines[name] = [f"{value:.4f}" for value in lines[name]]
    return lines.astype(str).to_numpy().tolist()


@pytest.mark.shared
@pytest.mark.parametrize(("case", "model", "layer", "metric", "threshold", "excluded"), CASES)
def test_transfer_terms__golden(golden_tables, case, model, layer, metric, threshold, excluded):
    g = golden_tables
    proteins = g.proteins[~g.proteins["taxon"].isin(excluded)]
    lines = transfer_terms(
        g.hits(model, layer, metric=metric, threshold=threshold, rows=proteins["row"].unique()),
        queries=g.queries,
        proteins=proteins,
        annotations=g.annotations,
        terms=g.terms,
        space=Space(model, layer, dimension=1),
        type_id={"ESM": 1, "Prot-T5": 3}[model],
        metric=metric,
        threshold=threshold,
    )
    folder = g.folder / "outputs" / case / "raw_results" / model.lower() / f"layer_{layer}"
    assert {path.stem for path in folder.glob("*.csv")} == set(lines["accession"].str.lower())
    assert set(lines["alignment_method"]) == {"trace"}
    for accession, ours in lines.drop(columns="alignment_method").groupby("accession"):
        theirs = pd.read_csv(
            folder / f"{accession.lower()}.csv", keep_default_na=False, na_values={"distance_threshold": [""]}
        )
        theirs = as_written(theirs[list(ours.columns)].astype(ours.dtypes.to_dict()))
        if accession == "Q00016":  # exact ties, which FANTASIA's sort leaves in any order
            assert sorted(as_written(ours)) == sorted(theirs)
        else:
            assert as_written(ours) == theirs
