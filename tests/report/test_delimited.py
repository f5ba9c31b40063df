from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fantasia_dask.report.delimited import escaped, inert, restored, unescaped, write_frame

nasty = st.text("=+-@'%09ADa\t\r\n\0,\"|; \uff1d", max_size=8) | st.text(max_size=8)


@given(nasty)
def test_inert__shown_and_brought_back(word):
    shown = inert(word)
    assert not shown.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))
    assert restored(shown) == word


@given(nasty, st.sampled_from(["", " ", "|,"]))
def test_escaped__breaks_no_line_and_is_brought_back(word, more):
    code = escaped(word, more)
    assert not set(code) & set("\t\r\n\0" + more)
    assert unescaped(code, more) == word


@pytest.mark.parametrize("word", ["sp|P1|X", "A/B", "NA", "00123", "=cmd()", "../../x", "50%", "'x", "a,b", "é"])
def test_escaped__ordinary_signs_stay(word):
    assert escaped(word) == word


@given(st.lists(nasty, min_size=1, max_size=5))
def test_write_frame__csv_is_inert_and_tsv_exact(words):
    frame = pd.DataFrame({"accession": pd.Series(words, dtype="str"), "n": -1.5})
    texts = {}
    for separator in (",", "\t"):
        texts[separator] = io.StringIO(newline="")
        write_frame(frame, texts[separator], separator)
    for separator, text in texts.items():
        text.seek(0)
        fields = [line[0] for line in csv.reader(text, delimiter=separator)][1:]
        assert [restored(field) for field in fields] == words if separator == "," else fields == words
    assert "-1.5" in texts[","].getvalue()
