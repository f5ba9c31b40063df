"""Lines for people and for programs, without secrets, whole again after a kill."""

from __future__ import annotations

import json

import pytest

from fantasia_dask import journal
from fantasia_dask.journal import Journal, without_secrets


def read_events(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_write__both_files_from_the_first_line_on(tmp_path):
    kept = Journal()
    kept.write("before there is a folder")
    kept.keep_in(tmp_path / "run.log", tmp_path / "events.jsonl")
    kept.write("lookup done", "stage-done", stage="lookup", seconds=1.5)
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["before there is a folder", "lookup done"]
    first, second = read_events(tmp_path / "events.jsonl")
    assert (first["event"], second["event"]) == ("note", "stage-done")
    assert (second["stage"], second["seconds"]) == ("lookup", 1.5)
    assert first["time"].endswith("+00:00")


def test_write__one_line_whatever_is_in_it(tmp_path):
    kept = Journal()
    kept.keep_in(tmp_path / "run.log", tmp_path / "events.jsonl")
    kept.write("protein 'a\n2026-01-01 00:00:00 all is well\x1b[2J\u2028'")
    [line] = (tmp_path / "run.log").read_text("utf-8").splitlines()
    assert line.isprintable()
    [event] = read_events(tmp_path / "events.jsonl")
    assert event["text"] == "protein 'a 2026-01-01 00:00:00 all is well\\x1b[2J\\u2028'"


def test_write__a_half_line_of_a_killed_run_spoils_no_other(tmp_path):
    log, events = tmp_path / "run.log", tmp_path / "events.jsonl"
    log.write_text("2026-11-25 12:00:00 emb")
    events.write_text('{"time": "2026-11-25T12:0')
    kept = Journal()
    kept.keep_in(log, events)
    kept.write("going on")
    assert log.read_text().splitlines()[1].endswith("going on")
    assert json.loads(events.read_text().splitlines()[1])["text"] == "going on"


def test_write__hostile_text_stays_one_json_line(tmp_path):
    kept = Journal()
    kept.keep_in(tmp_path / "run.log", tmp_path / "events.jsonl")
    for text in ("two\nlines", 'quo"te\\', "\ud800 half a pair", "\x00\x1b[31m"):
        kept.write(text, accession=text)
    assert [entry["event"] for entry in read_events(tmp_path / "events.jsonl")] == ["note"] * 4


def test_write__a_full_disk_stops_nothing_and_loses_nothing(tmp_path, monkeypatch):
    kept = Journal()
    kept.keep_in(tmp_path / "run.log", tmp_path / "events.jsonl")
    append = journal._append

    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "_append", full)
    kept.write("first")
    monkeypatch.setattr(journal, "_append", append)
    kept.write("second")
    assert [entry["text"] for entry in read_events(tmp_path / "events.jsonl")] == ["first", "second"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pw@host/x", "https://***@host/x"),
        ("postgresql://fantasia:s3cret@db:5432/x", "postgresql://***@db:5432/x"),
        ("https://host/file?access_token=abc123&download=1", "https://host/file?access_token=***&download=1"),
        ("https://host/file?X-Amz-Signature=abc", "https://host/file?X-Amz-Signature=***"),
        ("mail me@host about tcp://10.0.0.1:8786", "mail me@host about tcp://10.0.0.1:8786"),
        ("protein 'sp|P1|X@home'", "protein 'sp|P1|X@home'"),
    ],
)
def test_without_secrets(text, expected):
    assert without_secrets(text) == expected


def test_without_secrets__of_the_environment(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    monkeypatch.setenv("MONKEY", "bananas and more")
    assert without_secrets("got hf_abcdefgh and bananas and more") == "got *** and bananas and more"
