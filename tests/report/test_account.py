from __future__ import annotations

import pandas as pd
import pytest

from fantasia_dask.report import account as module
from fantasia_dask.report.account import read_account
from fantasia_dask.report.delimited import write_frame
from fantasia_dask.schema import OUTCOME, names

LINES = [
    ("P1", "A", 0, "embedded", 10, "", 3, 4),
    ("NA", "A", 0, "truncated", 99, "99 of 200 residues", 3, 2),
    ("=cmd()", "A", 0, "failed", 0, "has no residues", 0, 0),
    ("a\tb\r", "A", 0, "embedded", 7, "no donor within distance 0.1", 0, 0),
    ("P1", "A", 1, "embedded", 10, "", 3, 0),
    ("NA", "A", 1, "failed", 0, "out of memory", 0, 0),
    ("=cmd()", "A", 1, "failed", 0, "has no residues", 0, 0),
    ("a\tb\r", "A", 1, "embedded", 7, "", 2, 9),
]


def write_status(path, lines):
    with path.open("w", newline="") as file:
        write_frame(pd.DataFrame(lines, columns=names(OUTCOME)), file, "\t")


@pytest.fixture
def status(tmp_path):
    write_status(tmp_path / "status.tsv", LINES)
    return tmp_path / "status.tsv"


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_read_account__pieces_change_nothing(status, monkeypatch, piece):
    monkeypatch.setattr(module, "PIECE", piece)
    account = read_account(status, 10)
    assert account.accessions == ["P1", "NA", "=cmd()", "a\tb\r"]
    assert account.embedded.tolist() == [True, True, False, True]
    assert account.truncated.tolist() == [False, True, False, False]
    assert account.terms.tolist() == [4, 2, 0, 9]
    assert account.residues.tolist() == [10, 99, 0, 7]
    assert account.why(~account.annotated) == [("has no residues", 1)]
    assert account.spaces.to_dict("records") == [
        {"model": "A", "layer": 0, "proteins": 4, "embedded": 3, "truncated": 1, "failed": 1}
        | {"answered": 2, "annotated": 2},
        {"model": "A", "layer": 1, "proteins": 4, "embedded": 2, "truncated": 0, "failed": 2}
        | {"answered": 2, "annotated": 1},
    ]


def test_read_account__lists_the_first(status):
    account = read_account(status, 2)
    assert account.accessions == ["P1", "NA"]
    assert len(account) == 4


def test_read_account__too_many_reasons(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DISTINCT_REASONS", 2)
    lines = [(f"P{i}", "A", 0, "failed", 0, f"reason {i}", 0, 0) for i in range(5)]
    write_status(tmp_path / "status.tsv", lines)
    account = read_account(tmp_path / "status.tsv", 10)
    assert account.why(~account.annotated) == [(module.OTHER_REASON, 3), ("reason 0", 1), ("reason 1", 1)]


def test_read_account__no_protein(tmp_path):
    write_status(tmp_path / "status.tsv", [])
    account = read_account(tmp_path / "status.tsv", 10)
    assert len(account) == 0
    assert account.spaces.empty
