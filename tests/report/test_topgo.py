from __future__ import annotations

import pandas as pd
import pytest

from fantasia_dask.report.topgo import write_topgo


def read_mappings(path):
    """What topGO's readMappings does: split at the first tab, then at commas."""
    genes = {}
    for line in path.read_text().splitlines():
        gene, terms = line.split("\t")
        assert gene not in genes
        genes[gene] = terms.replace(" ", "").split(",")
    return genes


@pytest.mark.shared
@pytest.mark.parametrize("case", ["cosine_k5", "euclidean_k5", "threshold", "tax_exclude", "multi"])
def test_write_topgo__golden(golden, golden_rows, case, tmp_path):
    rows, _ = golden_rows(case)
    theirs = golden / "outputs" / case / "topgo"
    spaces = [("Prot-T5", 0)] if case != "multi" else [("ESM", 0), ("Prot-T5", 0), ("Prot-T5", 1)]
    write_topgo(rows, tmp_path / "topgo", spaces=spaces)
    files = sorted(path.relative_to(theirs) for path in theirs.rglob("*.topgo"))
    assert files == sorted(path.relative_to(tmp_path / "topgo") for path in (tmp_path / "topgo").rglob("*.topgo"))
    for file in files:
        assert (tmp_path / "topgo" / file).read_bytes() == (theirs / file).read_bytes()


def test_write_topgo__maps_are_read_back(make_rows, tmp_path):
    rows = make_rows(
        [
            ("q1", "A", 0, "GO:2", "P1", 0.9, 0.5),
            ("q1", "A", 0, "GO:2", "P2", 0.7, 0.5),
            ("q1", "A", 0, "GO:1", "P2", 0.7, 0.5),
            ("tab\tand\nend", "A", 0, "GO:1", "P2", 0.7, 0.5),
            ("q1", "../B", 1, "GO:3", "P2", 0.7, 0.5),
        ]
    )
    write_topgo(rows, tmp_path / "topgo", spaces=[("A", 0), ("../B", 1), ("C", 2)])
    assert read_mappings(tmp_path / "topgo/A/layer_0/BP.map") == {"q1": ["GO:2", "GO:1"], "tab%09and%0Aend": ["GO:1"]}
    assert read_mappings(tmp_path / "topgo/ensemble/BP.map")["q1"] == ["GO:1", "GO:2", "GO:3"]
    assert (tmp_path / "topgo/C/layer_2/MF.map").read_text() == ""
    assert sorted(path.name for path in (tmp_path / "topgo").iterdir()) == ["%2E.%2FB", "A", "C", "ensemble"]
    assert list(tmp_path.iterdir()) == [tmp_path / "topgo"]


def test_write_topgo__blocks_equal_the_whole(make_rows, tmp_path):
    drawn = [(f"q{i // 4}", "AB"[i % 2], 0, f"GO:{i * 7 % 5}", f"P{i}", i % 3 / 4, 0.5) for i in range(32)]
    spaces = [("A", 0), ("B", 0)]
    write_topgo(make_rows(drawn), tmp_path / "whole", spaces=spaces)
    write_topgo((make_rows(drawn[i : i + 8]) for i in range(0, 40, 8)), tmp_path / "parts", spaces=spaces)
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.*")]
    assert len(files) == 18
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
    ensemble = pd.read_csv(tmp_path / "whole/ensemble/BP.topgo", sep="\t", header=None)
    best = make_rows(drawn).groupby(["accession", "go_id"])["reliability_index"].max()
    assert ensemble.set_index([0, 1])[2].to_dict() == best.to_dict()
