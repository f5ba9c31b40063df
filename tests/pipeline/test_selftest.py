"""The bundled sample against stored answers, and what a wrong answer looks like."""

from __future__ import annotations

import copy
import json

import pytest

from fantasia_dask import cli
from fantasia_dask.errors import InputError
from fantasia_dask.pipeline import selftest


@pytest.fixture
def stored():
    return json.loads(selftest.ANSWERS.read_text())


def test_selftest__this_installation(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        cli.main(["selftest"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "stored vectors: 216 hits and the terms of 36 proteins are as stored",
        "computed vectors: 72 hits and the terms of 12 proteins are as stored",
    ]
    left = [path.name for path in tmp_path.iterdir() if not path.name.startswith("torchinductor_")]
    assert left == [], "torch keeps a cache of its own, and nothing else is left"


def shift(kind, query, by):
    def change(answers):
        answers[kind]["hits"][query][1][1] += by

    return change


def swap(answers):
    hits = answers["stored vectors"]["hits"]["P00004 layer 0"]
    hits[1], hits[2] = hits[2], hits[1]


def lose_term(answers):
    answers["computed vectors"]["terms"]["sp|P01326|INS2_MOUSE"].pop()


def lose_query(answers):
    del answers["stored vectors"]["hits"]["P00004 layer 1"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (swap, "stored vectors, P00004 layer 0"),
        (lose_term, "computed vectors, sp|P01326|INS2_MOUSE"),
        (lose_query, "stored vectors, P00004 layer 1"),
        (shift("stored vectors", "P00004 layer 0", 1e-9), "stored vectors, P00004 layer 0"),
        (shift("computed vectors", "sp|P01326|INS2_MOUSE layer 0", 1e-3), "computed vectors, sp|P01326|INS2_MOUSE"),
    ],
)
def test_selftest__a_wrong_answer(stored, monkeypatch, change, named):
    wrong = copy.deepcopy(stored)
    change(wrong)
    monkeypatch.setattr(selftest, "answers", lambda: wrong)
    with pytest.raises(InputError) as caught:
        selftest.check_sample()
    assert named in str(caught.value)


def test_selftest__rounding_of_another_processor(stored, monkeypatch):
    other = copy.deepcopy(stored)
    shift("stored vectors", "P00004 layer 0", 1e-15)(other)
    shift("computed vectors", "sp|P01326|INS2_MOUSE layer 0", 1e-6)(other)
    monkeypatch.setattr(selftest, "answers", lambda: other)
    assert "as stored" in selftest.check_sample()
