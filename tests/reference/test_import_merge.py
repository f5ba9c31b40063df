"""Two references made one, and a part of one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from fantasia_dask.cli import cli
from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.progress import Progress
from fantasia_dask.reference import open_reference, verify_reference, write_reference
from fantasia_dask.reference.build import ReferenceTables, typed
from fantasia_dask.reference.importers import merge_references, subset_reference
from fantasia_dask.schema import ANNOTATIONS, PROTEINS, RELATIONS, SUBSETS, TERMS, Space, names
from fantasia_dask.store import StoreWriter

QUIET = Progress(quiet=True)
DEMO = Space("Demo", 0, 2, "clean", "weights", "r1", "float16")


def make(folder, name, proteins, lines, *, spaces=(DEMO,), release="2024", terms=("GO:1", "GO:2"), absent=(), shift=0):
    """Write a reference of (accession, taxon, sequence) and (accession, GO id, evidence, date).

    The vector of a row is the number of letters in its sequence, and its row plus `shift`.
    """
    rows = {}
    for accession, _, sequence in proteins:
        rows.setdefault(sequence or accession, len(rows))
    table = [
        (i, rows[sequence or accession], accession, taxon, f"organism {taxon}", "", len(sequence), sequence)
        for i, (accession, taxon, sequence) in enumerate(proteins)
    ]
    number = {line[2]: line[0] for line in table}
    annotated = [(number[a], go_id, "F", evidence, "", "PMID:1", date) for a, go_id, evidence, date in lines]
    tables = ReferenceTables(
        typed(pd.DataFrame(table, columns=names(PROTEINS)), PROTEINS),
        typed(pd.DataFrame(annotated, columns=names(ANNOTATIONS)), ANNOTATIONS),
        typed(pd.DataFrame([(t, t, "F", False, "") for t in terms], columns=names(TERMS)), TERMS),
        typed(pd.DataFrame([(terms[-1], "is_a", terms[0])], columns=names(RELATIONS)), RELATIONS),
        {},
        release,
        ("IDA",),
        subsets=pd.DataFrame([("goslim_demo", terms[0])], columns=names(SUBSETS), dtype="str"),
    )
    first = tables.representatives
    store = folder / f"{name}.zarr"
    with StoreWriter(
        store, ids=[p.accession for p in first], sequences=[p.sequence for p in first], spaces=spaces
    ) as w:
        for space in spaces:
            block = np.array([[len(p.sequence), i + shift] + [0] * (space.dimension - 2) for i, p in enumerate(first)])
            w.write(space, 0, block.astype("f4"), np.array([i not in absent for i in range(len(first))]))
    return write_reference(folder / name, tables=tables, embeddings=store, move=True).path


A = [("P1", 9606, "MKT"), ("P2", 10090, "MR"), ("P3", 9606, "MKT")]
A_LINES = [("P1", "GO:1", "IDA", "20200101"), ("P2", "GO:1", "IMP", "20210101"), ("P3", "GO:2", "IDA", "")]
B = [("Q1", 562, "MWWW"), ("Q2", 562, "MR"), ("P1", 9606, "MKT"), ("Q3", 562, "")]
B_LINES = [("Q2", "GO:2", "IDA", "20190101"), ("P1", "GO:1", "IDA", "20200101"), ("Q3", "GO:1", "IDA", "")]


def lines_of(reference):
    named = dict(zip(reference.proteins["protein"], reference.proteins["accession"], strict=True))
    return [(named[p], *rest) for p, *rest in reference.annotations[["protein", "go_id", "evidence"]].values.tolist()]


def test_merge(tmp_path):
    a, b = make(tmp_path, "a", A, A_LINES), make(tmp_path, "b", B, B_LINES, shift=100)
    merged = merge_references(a, b, tmp_path / "out", progress=QUIET)
    assert verify_reference(merged.path)
    assert merged.proteins[["protein", "row", "accession", "taxon", "sequence"]].values.tolist() == [
        [0, 0, "P1", 9606, "MKT"],
        [1, 1, "P2", 10090, "MR"],
        [2, 0, "P3", 9606, "MKT"],
        [3, 2, "Q1", 562, "MWWW"],
        [4, 1, "Q2", 562, "MR"],
        [5, 3, "Q3", 562, ""],
    ]
    # A shared row has the vector of the first reference.
    np.testing.assert_array_equal(merged.vectors("Demo", 0).compute(), [[3, 0], [2, 1], [4, 100], [0, 103]])
    assert lines_of(merged) == [
        ("P1", "GO:1", "IDA"),
        ("P2", "GO:1", "IMP"),
        ("P3", "GO:2", "IDA"),
        ("Q2", "GO:2", "IDA"),
        ("Q3", "GO:1", "IDA"),
    ]
    assert merged.manifest["counts"]["merged"] == ["a", "b"]
    assert merged.manifest["counts"]["proteins_of_both"] == 1
    assert merged.manifest["go_release"] == "2024"
    assert len(merged.terms) == 2
    assert len(merged.relations) == 1


def test_merge__a_vector_that_the_first_lacks_comes_from_the_second(tmp_path):
    a, b = make(tmp_path, "a", A, A_LINES, absent=(1,)), make(tmp_path, "b", B, B_LINES, shift=100)
    merged = merge_references(a, b, tmp_path / "out", progress=QUIET)
    np.testing.assert_array_equal(merged.vectors("Demo", 0).compute()[1], [2, 101])


def test_merge__with_itself_changes_nothing(tmp_path):
    a = make(tmp_path, "a", A, A_LINES)
    merged, before = merge_references(a, a, tmp_path / "out", progress=QUIET), open_reference(a)
    for table in ("proteins", "annotations", "terms", "relations"):
        pd.testing.assert_frame_equal(getattr(merged, table), getattr(before, table))
    np.testing.assert_array_equal(merged.vectors("Demo", 0).compute(), before.vectors("Demo", 0).compute())


@pytest.mark.parametrize(
    "other",
    [
        Space("Demo", 0, 3, "clean", "weights", "r1", "float16"),
        Space("Demo", 0, 2, "pis-3.1", "weights", "r1", "float16"),
        Space("Demo", 0, 2, "clean", "weights", "r2", "float16"),
        Space("Demo", 0, 2, "clean", "other weights", "r1", "float16"),
        Space("Demo", 1, 2, "clean", "weights", "r1", "float16"),
    ],
)
def test_merge__other_vectors(tmp_path, other):
    a, b = make(tmp_path, "a", A, A_LINES), make(tmp_path, "b", B, B_LINES, spaces=[other])
    with pytest.raises(InputError, match="do not hold the same embeddings"):
        merge_references(a, b, tmp_path / "out", progress=QUIET)
    assert not (tmp_path / "out").exists()


def test_merge__wider_dtype_stays(tmp_path):
    single = Space("Demo", 0, 2, "clean", "weights", "r1", "float32")
    a, b = make(tmp_path, "a", A, A_LINES), make(tmp_path, "b", B, B_LINES, spaces=[single])
    assert merge_references(a, b, tmp_path / "out", progress=QUIET).spaces == (single,)


@pytest.mark.parametrize(
    ("protein", "told"),
    [
        (("P1", 9606, "MKTT"), "1 of the 2 proteins that are in .* have another sequence there, 'P1' for instance"),
        (("P1", 10090, "MKT"), "1 of the 2 proteins that are in .* have another taxon there, 'P1' for instance"),
    ],
)
def test_merge__protein_that_differs(tmp_path, protein, told):
    same = ("P2", 10090, "MR")
    a, b = make(tmp_path, "a", A, A_LINES), make(tmp_path, "b", [protein, same], [("P1", "GO:1", "IDA", "20200101")])
    with pytest.raises(InputError, match=told):
        merge_references(a, b, tmp_path / "out", progress=QUIET)


def test_merge__a_protein_of_both_has_the_annotations_of_both(tmp_path):
    a = make(tmp_path, "a", A, A_LINES)
    of_b = [("Q1", "GO:2", "IDA", ""), ("P1", "GO:2", "IDA", ""), ("P1", "GO:1", "IDA", "20200101")]
    b = make(tmp_path, "b", [("Q1", 562, "MWWW"), ("P1", 9606, "MKT")], of_b)
    merged = merge_references(a, b, tmp_path / "out", progress=QUIET)
    assert verify_reference(merged.path)
    assert lines_of(merged) == [
        ("P1", "GO:1", "IDA"),
        ("P1", "GO:2", "IDA"),
        ("P2", "GO:1", "IMP"),
        ("P3", "GO:2", "IDA"),
        ("Q1", "GO:2", "IDA"),
    ]
    assert merged.annotations["protein"].is_monotonic_increasing
    assert merged.manifest["counts"]["proteins_of_both"] == 1


def test_merge__a_protein_of_both_that_has_a_vector_in_the_second_alone(tmp_path):
    a = make(tmp_path, "a", A, A_LINES, absent=(1,))
    b = make(tmp_path, "b", [("P2", 10090, "MR")], [("P2", "GO:1", "IMP", "20210101")], shift=100)
    merged = merge_references(a, b, tmp_path / "out", progress=QUIET)
    np.testing.assert_array_equal(merged.vectors("Demo", 0).compute(), [[3, 0], [2, 100]])


def test_merge__what_subsets_took_apart(a, tmp_path):
    parts = [subset_reference(a, tmp_path / code, evidence=[code], progress=QUIET).path for code in ("IDA", "IMP")]
    merged, whole = merge_references(*parts, tmp_path / "out", progress=QUIET), open_reference(a)
    key = ["accession", "sequence", "taxon"]
    assert set(map(tuple, merged.proteins[key].values)) == set(map(tuple, whole.proteins[key].values))
    assert sorted(lines_of(merged)) == sorted(lines_of(whole))


def test_merge__releases_that_name_a_term_differently(tmp_path):
    """The same protein with the same annotation, of which the newer release has another id."""
    a = make(tmp_path, "a", A[:1], [("P1", "GO:2", "IDA", "20200101")])
    b = make(tmp_path, "b", A[:1], [("P1", "GO:3", "IDA", "20200101")], release="2025", terms=("GO:1", "GO:3"))
    (tmp_path / "go.obo").write_text(
        "data-version: new\nontology: go\n\n[Term]\nid: GO:3\nname: three\nnamespace: molecular_function\n"
        "alt_id: GO:2\n"
    )
    merged = merge_references(a, b, tmp_path / "out", ontology=tmp_path / "go.obo", progress=QUIET)
    assert lines_of(merged) == [("P1", "GO:3", "IDA")]


def test_merge__other_release(tmp_path):
    a, b = make(tmp_path, "a", A, A_LINES), make(tmp_path, "b", B[:2], B_LINES[:1], release="2025")
    with pytest.raises(InputError, match="2024 and 2025"):
        merge_references(a, b, tmp_path / "out", progress=QUIET)
    (tmp_path / "go.obo").write_text(
        "data-version: new\nontology: go\n\n[Term]\nid: GO:3\nname: three\nnamespace: biological_process\n"
        "alt_id: GO:2\n"
    )
    with pytest.warns(FantasiaWarning, match=r"2 of 4 annotations have no current term in .*go\.obo: left out"):
        merged = merge_references(a, b, tmp_path / "out", ontology=tmp_path / "go.obo", progress=QUIET)
    assert lines_of(merged) == [("P3", "GO:3", "IDA"), ("Q2", "GO:3", "IDA")]
    assert merged.manifest["go_release"] == "new"


def test_merge__an_ontology_that_knows_no_term(tmp_path):
    a, b = make(tmp_path, "a", A, A_LINES), make(tmp_path, "b", B, B_LINES)
    (tmp_path / "go.obo").write_text("data-version: x\nontology: go\n\n[Term]\nid: GO:9\nname: nine\n")
    with pytest.raises(InputError, match=r"no annotation of .* has a term in .*go\.obo"):
        merge_references(a, b, tmp_path / "out", ontology=tmp_path / "go.obo", progress=QUIET)
    assert not (tmp_path / "out").exists()


# subset -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def a(tmp_path):
    return make(tmp_path, "a", A, A_LINES)


def test_subset__taxon(a, tmp_path):
    mice = subset_reference(a, tmp_path / "mice", taxa=[10090], progress=QUIET)
    assert verify_reference(mice.path)
    assert mice.proteins[["protein", "row", "accession"]].values.tolist() == [[0, 0, "P2"]]
    np.testing.assert_array_equal(mice.vectors("Demo", 0).compute(), [[2, 1]])
    assert lines_of(mice) == [("P2", "GO:1", "IMP")]
    assert subset_reference(a, tmp_path / "men", taxa=["organism 9606"], progress=QUIET).rows == 1


def test_subset__row_whose_first_protein_goes_keeps_its_vector(a, tmp_path):
    (tmp_path / "chosen.txt").write_text("P3\n\nP2\n")
    part = subset_reference(a, tmp_path / "out", accessions=tmp_path / "chosen.txt", progress=QUIET)
    assert part.proteins[["row", "accession"]].values.tolist() == [[1, "P2"], [0, "P3"]]
    assert list(part.store.ids) == ["P3", "P2"]
    np.testing.assert_array_equal(part.vectors("Demo", 0).compute(), [[3, 0], [2, 1]])
    assert lines_of(part) == [("P2", "GO:1", "IMP"), ("P3", "GO:2", "IDA")]


def test_subset__taxon_with_descendants(a, tmp_path, shared):
    dump = shared / "data" / "taxonomy"
    # Mammals are 40674; the taxa of the reference are a man's and a mouse's.
    mammals = subset_reference(a, tmp_path / "mammals", taxa=[40674], taxonomy_dump=dump, progress=QUIET)
    assert len(mammals.proteins) == 3


def test_subset__evidence_and_date(a, tmp_path):
    part = subset_reference(a, tmp_path / "ida", evidence=["IDA"], progress=QUIET)
    assert lines_of(part) == [("P1", "GO:1", "IDA"), ("P3", "GO:2", "IDA")]
    assert len(part.proteins) == 3
    early = subset_reference(a, tmp_path / "early", before="2021-01-01", progress=QUIET)
    assert lines_of(early) == [("P1", "GO:1", "IDA")]
    assert early.manifest["counts"]["annotations_without_date"] == 1
    assert early.manifest["counts"]["annotations_too_late"] == 1


@pytest.mark.filterwarnings("ignore:taxon 562 is of no protein")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"taxa": [562]}, "no protein"),
        ({"taxa": ["organism 960"]}, "organism 960"),
        ({"evidence": ["TAS"]}, "no annotation"),
        ({"evidence": ["ABC"]}, "ABC"),
        ({"before": "last year"}, "YYYY-MM-DD"),
        ({"before": "2020-13-01"}, "YYYY-MM-DD"),
        ({"before": "2010-02-31"}, "'2010-02-31' is no date"),
        ({}, "nothing is chosen of .*: expected --taxon, --evidence, --before or --accessions"),
        ({"before": "19990101"}, "no annotation"),
    ],
)
def test_subset__nothing_left_or_not_understood(a, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        subset_reference(a, tmp_path / "out", **options, progress=QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_subset__accessions_that_are_not_there(a, tmp_path):
    chosen = tmp_path / "chosen.txt"
    chosen.write_text("P1\nP7\n")
    with pytest.warns(FantasiaWarning, match="1 of the 2 proteins"):
        assert subset_reference(a, tmp_path / "out", accessions=chosen, progress=QUIET).rows == 1
    chosen.write_text("P7\n")
    with pytest.raises(InputError, match="'P7' and others"):
        subset_reference(a, tmp_path / "other", accessions=chosen, progress=QUIET)
    chosen.write_text("\n")
    with pytest.raises(InputError, match="lists no accession"):
        subset_reference(a, tmp_path / "other", accessions=chosen, progress=QUIET)
    chosen.write_text("P1\nP2\tGO:1\n")
    with pytest.raises(InputError, match=r"line 2 of .* has more than an accession \('P2\\tGO:1'\): expected one per"):
        subset_reference(a, tmp_path / "other", accessions=chosen, progress=QUIET)


def test_subset__before_a_day_where_nothing_has_a_date(tmp_path):
    undated = make(tmp_path, "a", A, [(*line[:3], "") for line in A_LINES])
    with pytest.raises(InputError, match=r"none of the .* annotations has a date.*FANTASIA.s dumps have none"):
        subset_reference(undated, tmp_path / "out", before="2020-01-31", progress=QUIET)


def test_commands(a, tmp_path):
    b = make(tmp_path, "b", B, B_LINES)
    runner = CliRunner()
    merged = runner.invoke(
        cli, ["reference", "merge", str(a), str(b), str(tmp_path / "merged")], catch_exceptions=False
    )
    assert merged.exit_code == 0
    assert "Demo" in merged.output
    part = runner.invoke(
        cli,
        [
            "reference",
            "subset",
            str(tmp_path / "merged"),
            str(tmp_path / "part"),
            "--taxon",
            "562",
            "--evidence",
            "IDA,IMP",
        ],
        catch_exceptions=False,
    )
    assert part.exit_code == 0
    assert open_reference(tmp_path / "part").proteins["accession"].tolist() == ["Q1", "Q2", "Q3"]
    with pytest.raises(InputError, match=r"no reference that can be imported \(it is a reference already\)"):
        runner.invoke(cli, ["reference", "import", str(a), str(tmp_path / "no")], catch_exceptions=False)
