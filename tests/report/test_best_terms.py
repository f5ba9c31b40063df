from __future__ import annotations

from fantasia_dask.report.best_terms import BestTerms

SPACES = [("A", 0), ("B", 0)]


def best(rows, accessions, proteins_with=None):
    found = BestTerms(accessions, SPACES, proteins_with or {})
    for block in rows:
        found.add(block)
    columns = found.columns()
    listed = {}
    for aspect, lines in columns["best"].items():
        for accession, term, pair in zip(accessions, lines["term"], lines["pair"], strict=True):
            if term >= 0:
                donor, space, reliability, *_ = (values[pair] for values in columns["pairs"].values())
                name = columns["donors"]["accession"][donor]
                listed[accession, aspect] = (columns["terms"]["id"][term], name, space, reliability / 1e4)
    return listed, columns, found


def rows_of(make_rows, lines, aspects=None):
    rows = make_rows(lines)
    rows["ref_idx"] = rows["protein_id"].str[1:].astype("int64")
    rows["distance"] = 1 - rows["reliability_index"]
    rows["category"] = [(aspects or {}).get(go_id, "BP") for go_id in rows["go_id"]]
    return rows


def test_best_terms__nearest_donor_then_agreement_then_the_rarest(make_rows):
    lines = [
        ("Q1", "A", 0, "GO:3", "D1", 0.9, 0.5),  # A's nearest donor
        ("Q1", "A", 0, "GO:2", "D1", 0.9, 0.5),
        ("Q1", "A", 0, "GO:1", "D1", 0.9, 0.5),
        ("Q1", "A", 0, "GO:4", "D2", 0.8, 0.5),  # of the second donor: does not count
        ("Q1", "B", 0, "GO:2", "D3", 0.99, 0.5),  # B's nearest donor: a larger reliability of another scale
        ("Q1", "B", 0, "GO:5", "D3", 0.99, 0.5),
        ("Q1", "B", 0, "GO:3", "D4", 0.98, 0.5),
        ("Q1", "B", 0, "GO:4", "D4", 0.98, 0.5),
    ]
    rows = rows_of(make_rows, lines)
    rarest = {"GO:2": 9, "GO:3": 8, "GO:4": 1, "GO:5": 1}
    assert best([rows], ["Q1"], rarest)[0] == {("Q1", "BP"): ("GO:3", "D1", 0, 0.9)}
    # A term that the reference does not know comes last.
    assert best([rows], ["Q1"], {"GO:3": 10**6})[0] == {("Q1", "BP"): ("GO:3", "D1", 0, 0.9)}
    # Both were found in both spaces and are equally common: the smaller id, named after the first space.
    assert best([rows], ["Q1"])[0] == {("Q1", "BP"): ("GO:2", "D1", 0, 0.9)}


def test_best_terms__an_aspect_that_the_nearest_donor_lacks(make_rows):
    lines = [("Q1", "A", 0, "GO:1", "D1", 0.9, 0.5), ("Q1", "A", 0, "GO:2", "D2", 0.8, float("nan"))]
    listed, columns, found = best([rows_of(make_rows, lines, {"GO:2": "MF"})], ["Q1", "Q2"], {"GO:2": 1})
    assert listed == {("Q1", "BP"): ("GO:1", "D1", 0, 0.9), ("Q1", "MF"): ("GO:2", "D2", 0, 0.8)}
    assert columns["aspect"] == ["BP", ""]
    assert found.terms.tolist() == [2, 0]
    assert sorted(columns["pairs"]["identity"], key=str) == [500, None]


def test_best_terms__the_rarest_of_all_aspects_together(make_rows):
    """A process that 40 proteins have is rarer than a component that 50 have, however few proteins have any process."""
    lines = [("Q1", "A", 0, go_id, "D1", 0.9, 0.5) for go_id in ("GO:1", "GO:2", "GO:3")]
    rows = rows_of(make_rows, lines, {"GO:1": "CC", "GO:2": "BP", "GO:3": "MF"})
    assert best([rows], ["Q1"], {"GO:1": 50, "GO:2": 40, "GO:3": 60})[1]["aspect"] == ["BP"]


def test_best_terms__lists_only_the_proteins_asked_for(make_rows):
    lines = [(f"Q{i}", "A", 0, "GO:1", "D1", 0.9, 0.5) for i in range(5)]
    blocks = [rows_of(make_rows, lines[:2]), rows_of(make_rows, lines[2:]), rows_of(make_rows, [])]
    listed, columns, _ = best(blocks, ["Q0", "Q3"])
    assert set(listed) == {("Q0", "BP"), ("Q3", "BP")}
    assert columns["terms"]["id"] == ["GO:1"]
    assert len(columns["donors"]["accession"]) == 1
