"""A stage takes up its own parts, and never those of other settings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fantasia_dask.ledger import digest, open_files, open_ledger, path_digest
from fantasia_dask.run_folder import EXPORTS, RunFolder


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


def make(ledger, name, content):
    with ledger.making(name):
        for file in EXPORTS[name]:
            path = ledger.folder.path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


WANTED = {"gaf": {"database": "LOCAL"}, "topgo-genes": {"precision": 4}}


@pytest.fixture
def exported(tmp_path):
    folder = RunFolder(tmp_path)
    ledger = open_files(folder, WANTED, day="2026-01-01")
    assert ledger.why == dict.fromkeys(WANTED, "not there yet")
    assert ledger.news == ""
    for name in WANTED:
        make(ledger, name, name)
    return folder


def test_open_files__takes_up_what_is_finished(exported):
    ledger = open_files(exported, WANTED, day="2027-01-01")
    assert not any(map(ledger.lacks, WANTED))
    assert ledger.news == "exports: nothing to do, all are finished"
    assert ledger.day == "2026-01-01"


def test_open_files__says_in_one_line_what_is_made_and_why(exported):
    (exported.path / "exports" / "topgo_genes").write_text("by hand")
    ledger = open_files(exported, {**WANTED, "gaf": {"database": "ENSEMBL"}, "cafa": {}}, day="2027-01-01")
    assert ledger.why == {"gaf": "database changed", "topgo-genes": "changed on disk", "cafa": "not there yet"}
    assert not (exported.path / "exports").exists(), "nothing of other settings lies beside what comes"
    assert ledger.day == "2027-01-01"
    for name in ledger.why:
        make(ledger, name, "new")
    ledger = open_files(exported, {"gaf": {"database": "ENSEMBL"}}, day="2028-01-01")
    assert ledger.news == "exports removed: topgo-genes, cafa (no longer wanted)"
    assert [path.name for path in (exported.path / "exports").iterdir()] == ["annotations.gaf"]


def test_open_files__an_export_that_failed_is_not_finished(exported):
    ledger = open_files(exported, {**WANTED, "cafa": {}}, day="2027-01-01")

    def fill_the_disk():
        with ledger.making("cafa"):
            (exported.path / "exports" / "cafa.tsv.partial").write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert open_files(exported, WANTED, day="2027-01-01").news == "exports: nothing to do, all are finished"
    assert sorted(path.name for path in (exported.path / "exports").iterdir()) == ["annotations.gaf", "topgo_genes"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "{}", '{"gaf": 1}', '{"gaf": {"made_from": {}, "files": [], "day": 1}}', '{"other": {}}']
)
def test_open_files__trusts_no_file_without_its_entry(exported, content):
    (exported.path / "ledger.json").write_text(content)
    ledger = open_files(exported, WANTED, day="2027-01-01")
    assert all(map(ledger.lacks, WANTED))
    assert not (exported.path / "exports").exists()


def test_path_digest__names_and_contents_of_a_folder(tmp_path):
    def folder(name, **files):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(content)
        return path_digest(tmp_path / name)

    assert folder("a", x="1", y="2") == folder("b", y="2", x="1")
    assert len({folder("c", x="1"), folder("d", y="1"), folder("e", x="2"), folder("f"), None}) == 5
    assert folder("g", **{"x": "1", ".hidden": "2"}) == path_digest(tmp_path / "c")
    assert path_digest(tmp_path / "nowhere") is None
