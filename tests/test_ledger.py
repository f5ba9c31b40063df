"""A stage takes up its own parts, and never those of other settings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fantasia_dask.ledger import digest, open_ledger


def fill(ledger, *parts):
    for part in parts:
        ledger.part(part).write_bytes(b"whole")
    return ledger


def test_open_ledger__takes_up_what_is_done(tmp_path):
    fill(open_ledger(tmp_path / "hits", {"k": 5, "taxa": [9606, "Fungi"]}), 0, 2)
    again = open_ledger(tmp_path / "hits", {"taxa": (9606, "Fungi"), "k": 5})
    assert again.missing(3 * 1024 + 1) == [1, 3]
    assert again.missing(0) == []
    assert not again.changed
    assert not again.news


@pytest.mark.parametrize("other", [{"k": 3}, {"k": 5, "metric": "cosine"}, {}])
def test_open_ledger__empties_what_was_made_from_something_else(tmp_path, other):
    fill(open_ledger(tmp_path / "hits", {"k": 5}), 0)
    again = open_ledger(tmp_path / "hits", other)
    assert again.missing(1) == [0]
    assert set(again.changed) == {name for name in {"k", *other} if {"k": 5}.get(name) != other.get(name)}


@pytest.mark.parametrize("note", ["", "[]", "{", json.dumps({"k": 6})])
def test_open_ledger__never_trusts_parts_without_their_note(tmp_path, note):
    ledger = fill(open_ledger(tmp_path / "hits", {"k": 5}), 0)
    (ledger.folder / "_made_from.json").write_text(note)
    assert open_ledger(tmp_path / "hits", {"k": 5}).missing(1) == [0]


def test_open_ledger__half_written_parts_do_not_count(tmp_path):
    ledger = open_ledger(tmp_path / "hits", {"k": 5})
    (ledger.folder / "part-00000.parquet.partial").write_bytes(b"half")
    assert open_ledger(tmp_path / "hits", {"k": 5}).missing(1) == [0]


def test_digest__tells_shape_dtype_and_content_apart():
    arrays = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, "i8"), np.ones(4), np.zeros(4, bool), None, "None", b"None"]
    assert len({digest(array) for array in arrays}) == len(arrays)
    assert digest(np.arange(6).reshape(2, 3).T) == digest(np.arange(6).reshape(2, 3).T.copy())
    assert digest("a", "b") != digest("ab")
