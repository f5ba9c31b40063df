from __future__ import annotations

import pandas as pd
import pytest

from fantasia_dask.report.raw_results import write_raw_csv

HOSTILE = ["../../x", "A/B", "abc", "ABC", "P1:2", "P1?2", "a" * 5000, "NA", "00123", 'a,"b"', "line\nend"]


@pytest.mark.shared
@pytest.mark.parametrize("case", ["cosine_k5", "threshold", "multi"])
def test_write_raw_csv__golden_byte_for_byte(golden, golden_rows, case, tmp_path):
    rows, _ = golden_rows(case)
    spaces = sorted({(model, layer) for model, layer in zip(rows["model_name"], rows["layer_index"], strict=True)})
    written = write_raw_csv(rows, tmp_path / "raw_results", accessions=rows["accession"].unique(), spaces=spaces)
    theirs = golden / "outputs" / case
    files = [path.relative_to(theirs) for path in theirs.glob("raw_results/*/*/*.csv")]
    assert len(files) == written
    for file in files:
        assert (tmp_path / file).read_bytes() == (theirs / file).read_bytes()


def test_write_raw_csv__hostile_accessions(make_rows, tmp_path):
    rows = make_rows([(word, model, 0, "GO:1", "P1", 0.5, 0.5) for model in ("m", "M") for word in HOSTILE])
    spaces = [("m", 0), ("M", 0)]
    assert write_raw_csv(rows, tmp_path / "raw", accessions=HOSTILE, spaces=spaces) == 2 * len(HOSTILE)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    homes = sorted((tmp_path / "raw").iterdir())
    assert len({home.name.lower() for home in homes}) == 2
    for home in homes:
        files = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in home.rglob("*.csv")]
        assert sorted(file["accession"].item() for file in files) == sorted(HOSTILE)
        assert len({file["model_name"].item() for file in files}) == 1


def test_write_raw_csv__without_sequences_and_replaced(make_rows, tmp_path):
    old = make_rows([("old", "A", 0, "GO:1", "P1", 0.5, 0.5)])
    write_raw_csv(old, tmp_path / "raw", accessions=["old", "q"], spaces=[("A", 0)])
    rows = make_rows([("q", "A", 0, "GO:1", "P1", 0.26875, float("nan"))] * 2)
    write_raw_csv(rows, tmp_path / "raw", accessions=["old", "q"], spaces=[("A", 0), ("B", 1)], keep_sequences=False)
    assert [path.name for path in (tmp_path / "raw").rglob("*.csv")] == ["q.csv"]
    back = pd.read_csv(tmp_path / "raw/a/layer_0/q.csv", dtype=str, keep_default_na=False)
    assert "sequence_query" not in back
    assert back["reliability_index"].tolist() == ["0.2687"] * 2
    assert back["identity"].tolist() == [""] * 2
