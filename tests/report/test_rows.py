from __future__ import annotations

import math

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.report.rows import read_blocks, rounded


def test_read_blocks__folder(make_rows, tmp_path):
    spaces = [("B", 10), ("B", 9), ("A", 0)]
    for part in range(3):
        for model, layer in spaces:
            # The last part of one space is empty, as when none of its queries found a donor.
            lines = [] if (part, layer) == (2, 9) else [(f"Q{part}", model, layer, "GO:1", "P1", 0.5, 0.5)]
            path = tmp_path / f"model={model}" / f"layer={layer}" / f"part-{part:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            make_rows(lines).to_parquet(path)
    (tmp_path / "model=A" / "layer=0" / "part-00001.parquet.partial").write_text("half")
    blocks = list(read_blocks(tmp_path))
    assert [block["accession"].unique().tolist() for block in blocks] == [["Q0"], ["Q1"], ["Q2"]]
    assert [len(block) for block in blocks] == [3, 3, 2]
    assert blocks[0]["layer_index"].tolist() == [0, 9, 10]
    assert list(blocks[0].columns) == list(make_rows([]).columns)
    narrow = list(read_blocks(str(tmp_path), ["go_id", "accession"]))
    assert list(narrow[0].columns) == ["go_id", "accession"]


def test_read_blocks__frames(make_rows):
    rows = make_rows([("Q0", "A", 0, "GO:1", "P1", 0.5, 0.5)])
    for given_rows in (rows, [rows], iter([rows])):
        (block,) = read_blocks(given_rows, ["accession"])
        pd.testing.assert_frame_equal(block, rows[["accession"]])


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan)), st.integers(0, 6))
def test_rounded__as_printed(values, precision):
    expected = [float(f"{value:.{precision}f}") for value in values]
    np.testing.assert_array_equal(rounded(np.array(values), precision), expected)
