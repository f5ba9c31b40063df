"""FASTA, annotations and ontology to tables: what stays, what goes, and that all of it is counted."""

from __future__ import annotations

import csv
import gzip
from collections import Counter

import pytest

from fantasia_dask.errors import InputError
from fantasia_dask.reference import CURATED, EXPERIMENTAL, collect
from fantasia_dask.schema import ANNOTATIONS, PROTEINS, RELATIONS, TERMS, names


def test_collect__proteins_of_one_sequence_share_a_row(tables):
    columns = ["protein", "row", "accession", "taxon", "organism", "gene", "length"]
    assert tables.proteins[columns].to_numpy().tolist() == [
        [0, 0, "P1", 4932, "Saccharomyces cerevisiae", "ONE", 4],
        [1, 1, "P2", 10090, "", "", 3],  # its header names no taxon, its annotations do
        [2, 0, "P3", 9606, "Homo sapiens", "", 4],
        [3, 2, "P4", 0, "", "", 3],
    ]
    assert [(p.accession, p.sequence) for p in tables.representatives] == [("P1", "MKTA"), ("P2", "MRT"), ("P4", "MMM")]


def test_collect__annotations(tables):
    columns = ["protein", "go_id", "aspect", "evidence", "qualifier", "source"]
    assert tables.annotations[columns].to_numpy().tolist() == [
        [0, "GO:0000001", "F", "IDA", "enables", "PMID:1"],
        [0, "GO:0000001", "F", "IDA", "enables", "PMID:2"],
        [0, "GO:0000001", "F", "TAS", "", "PMID:1"],  # obsolete, then alternative, and the aspect of what it became
        [1, "GO:0000002", "P", "HDA", "", "PMID:1"],
        [2, "GO:0000002", "P", "IDA", "", "PMID:1"],
    ]


def test_collect__counts(tables):
    assert tables.counts == {
        "proteins": 4,
        "rows": 3,
        "proteins_without_sequence": 1,
        "annotations_read": 13,
        "annotations_not": 1,
        "annotations_no_data": 1,
        "annotations_other_evidence": 1,
        "annotations_other_protein": 1,
        "annotations_alternative_replaced": 1,
        "annotations_alternative_dropped": 0,
        "annotations_obsolete_replaced": 1,
        "annotations_obsolete_dropped": 2,
        "annotations_unknown_dropped": 1,
        "go_ids_alternative": 1,
        "go_ids_obsolete": 3,
        "go_ids_unknown": 1,
        "annotations_duplicate": 1,
        "annotations": 5,
        "annotated_proteins": 3,
        "evidence": {"HDA": 1, "IDA": 3, "TAS": 1},
        "taxa": 4,
    }
    assert tables.go_release == "releases/2024-01-01"


def test_collect__tables_have_the_columns_of_the_schema(tables):
    for table, columns in (
        (tables.proteins, PROTEINS),
        (tables.annotations, ANNOTATIONS),
        (tables.terms, TERMS),
        (tables.relations, RELATIONS),
    ):  # fmt: skip
        assert table.columns.tolist() == names(columns)
        assert [str(dtype) for dtype in table.dtypes] == [column.dtype for column in columns]


def test_collect__evidence_chosen(sources):
    assert set(collect(**sources, evidence=["TAS"]).annotations["evidence"]) == {"TAS"}
    assert set(collect(**sources, evidence=CURATED).annotations["evidence"]) == {"IDA", "TAS"}
    assert set(CURATED) < set(EXPERIMENTAL)
    with pytest.raises(InputError, match=r"'ida' is not an evidence code.*Did you mean IDA"):
        collect(**sources, evidence=["ida"])
    with pytest.raises(InputError, match="no evidence code"):
        collect(**sources, evidence=[])


def test_collect__several_files_of_annotations(sources, tmp_path):
    more = tmp_path / "more.tsv"
    more.write_text("accession\tgo_id\nP4\tGO:0000002\n")
    tables = collect(sources["fasta"], [sources["annotations"], more], sources["ontology"])
    assert tables.counts["annotations_read"] == 14
    assert tables.annotations.iloc[-1].tolist() == [3, "GO:0000002", "P", "", "", "", ""]
    assert tables.counts["evidence"]["none"] == 1
    assert [p.name for p in tables.sources] == ["r.fasta", "a.tsv", "more.tsv", "go.obo"]


def test_collect__nothing_left(sources):
    sources["annotations"].write_text("accession\tgo_id\tevidence\nQ1\tGO:0000001\tIDA\n")
    with pytest.raises(InputError, match=r"1 are of other proteins \('Q1', where the reference has 'P1'\)"):
        collect(**sources)
    head = "accession\tgo_id\tevidence\tqualifier\n"
    sources["annotations"].write_text(f"{head}P1\tGO:0000001\tIDA\tNOT\nP1\tGO:0000001\tND\t\nP1\tGO:1\tIDA\t\n")
    with pytest.raises(
        InputError,
        match=r"of 3 lines 1 say what a protein does not do \(NOT\), 1 say that nothing is known \(ND\), 1 have terms",
    ):
        collect(**sources)
    with pytest.raises(InputError, match="no file of annotations"):
        collect(sources["fasta"], [], sources["ontology"])
    sources["fasta"].write_text(">P1\n\n")
    with pytest.raises(InputError, match="no protein of the FASTA has a sequence"):
        collect(**sources)


@pytest.mark.shared
def test_collect__real_set_equals_an_independent_count(shared):
    data = shared / "data"
    tables = collect(
        data / "e2e/reference.fasta.gz", data / "e2e/reference_annotations.tsv.gz", data / "ontology/go_2024.obo.gz"
    )
    # The ontology, read line by line; the annotations, with the csv module: nothing of the package.
    current, obsolete, alternative = set(), set(), {}
    for stanza in gzip.decompress((data / "ontology/go_2024.obo.gz").read_bytes()).decode().split("\n\n"):
        if stanza.startswith("[Term]"):
            lines = stanza.splitlines()
            go_id = next(line[4:] for line in lines if line.startswith("id: "))
            (obsolete if "is_obsolete: true" in lines else current).add(go_id)
            alternative |= {line[8:]: go_id for line in lines if line.startswith("alt_id: ")}
    with gzip.open(data / "e2e/reference_annotations.tsv.gz", "rt") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    positive = [line for line in lines if not line["qualifier"].startswith("NOT")]
    kinds: dict[str, Counter] = {"alternative": Counter(), "obsolete": Counter(), "unknown": Counter()}
    kept = set()
    for line in positive:
        go_id = alternative.get(line["go_id"], line["go_id"])
        if line["go_id"] in alternative:
            kinds["alternative"][line["go_id"]] += 1
        elif go_id in obsolete:
            kinds["obsolete"][go_id] += 1
        elif go_id not in current:
            kinds["unknown"][go_id] += 1
        if go_id in current:
            kept.add((line["accession"], go_id, *(line[c] for c in ("evidence", "qualifier", "reference", "date"))))
    counts = tables.counts
    assert counts["annotations_read"] == len(lines) == 89_370
    assert counts["annotations_not"] == len(lines) - len(positive) == 102
    assert counts["go_ids_alternative"] == len(kinds["alternative"]) == 53
    assert counts["go_ids_obsolete"] == len(kinds["obsolete"]) == 343
    assert counts["go_ids_unknown"] == len(kinds["unknown"]) == 55
    assert counts["annotations_alternative_replaced"] == kinds["alternative"].total()
    assert counts["annotations_obsolete_dropped"] == kinds["obsolete"].total()
    assert counts["annotations_unknown_dropped"] == kinds["unknown"].total()
    accession = tables.proteins["accession"].to_numpy()[tables.annotations["protein"]]
    found = set(zip(accession, *(tables.annotations[c] for c in ("go_id", "evidence", "qualifier", "source", "date")),
                    strict=True))  # fmt: skip
    assert found == kept
    assert counts["annotations"] == len(kept)
    assert (counts["proteins"], counts["rows"]) == (15_279, tables.proteins["sequence"].nunique())
    assert counts["taxa"] == 11
