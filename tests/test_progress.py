"""Bars in a terminal, a line a minute elsewhere, and a journal of both."""

from __future__ import annotations

import io
import json
import re
import time
import warnings

import pytest

from fantasia_dask import progress
from fantasia_dask.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def wait_until(true):
    """Wait for something that a thread is about to do."""
    while not true():
        time.sleep(0.01)


def test_stage__a_line_at_intervals_with_rate_and_time_left(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    stream = io.StringIO()
    with Progress(stream).stage("embedding", 1000, "proteins") as advance:
        advance(1)
        advance(4)
        wait_until(lambda: "left" in stream.getvalue())
        advance(995)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "embedding: 1000 proteins"
    assert re.fullmatch(r"embedding: 5 of 1000 proteins, \S+/(s|min), about \d+ .* left", lines[1])
    assert re.fullmatch(r"embedding: 1000 of 1000 proteins, done in \d+ s", lines[-1])


def test_stage__a_line_also_while_nothing_moves(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.02)
    stream = io.StringIO()
    with Progress(stream).stage("lookup", 7, "queries"):
        wait_until(lambda: stream.getvalue().count("lookup: 0 of 7 queries") >= 2)


def test_rate__is_that_of_late(monkeypatch):
    """What an earlier run had done comes at once, and says nothing about what is left."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    count = progress._Count()
    for minute in range(1, 31):
        now = minute * 60.0
        count.done = 100_000 + 6 * minute
        rate = count.rate()
    assert rate == pytest.approx(0.1)


def test_stage__a_bar_in_a_terminal():
    stream = Terminal()
    with Progress(stream).stage("embedding", 3, "proteins") as advance:
        advance(1)
        advance(2)
    assert "3/3" in stream.getvalue()
    assert "proteins" in stream.getvalue()


def test_progress__quiet_writes_to_the_journal_alone(tmp_path):
    stream = io.StringIO()
    quiet = Progress(stream, quiet=True)
    with quiet.logging():
        quiet.log_to(tmp_path / "run.log", tmp_path / "events.jsonl")
        with quiet.stage("lookup", 2, "queries") as advance:
            advance(2)
    assert stream.getvalue() == ""
    assert "lookup: 2 of 2 queries" in (tmp_path / "run.log").read_text()
    begun, done = events(tmp_path / "events.jsonl")
    assert (begun["event"], begun["stage"], begun["total"], begun["unit"]) == ("stage-begun", "lookup", 2, "queries")
    assert (done["event"], done["done"]) == ("stage-done", 2)
    assert done["seconds"] >= 0


def test_logging__warnings_and_errors_are_noted_and_still_seen(tmp_path):
    before = warnings.showwarning
    quiet = Progress(quiet=True)

    def work():
        with quiet.logging():
            warnings.warn("look out", UserWarning, stacklevel=1)
            quiet.log_to(tmp_path / "run.log", tmp_path / "events.jsonl")
            quiet.note("going on")
            raise ZeroDivisionError("stop")

    with pytest.warns(UserWarning, match="look out"), pytest.raises(ZeroDivisionError):
        work()
    lines = [line.split(" ", 2)[2] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert lines == ["warning: look out", "going on", "stopped: ZeroDivisionError: stop"]
    assert [entry["event"] for entry in events(tmp_path / "events.jsonl")] == ["warning", "note", "stopped"]
    assert warnings.showwarning is before


def test_logging__nothing_is_written_without_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError), Progress(quiet=True).logging():
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_line__shows_no_secret():
    stream = io.StringIO()
    Progress(stream).line("fetching https://me:pass@host/")
    assert stream.getvalue() == "fetching https://***@host/\n"
