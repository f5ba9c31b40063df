"""Bars in a terminal, lines elsewhere, and a log of both."""

from __future__ import annotations

import io
import warnings

import pytest

from fantasia_dask import progress
from fantasia_dask.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_stage__plain_lines(monkeypatch):
    clock = iter([0.0, 10.0, 70.0, 75.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with Progress(stream).stage("embedding", 10, "proteins") as advance:
        advance(1)
        advance(4)
    assert stream.getvalue().splitlines() == [
        "embedding: 10 proteins",
        "embedding: 5 of 10 proteins, about 70 s left",
        "embedding: 5 of 10 proteins, done in 75 s",
    ]


def test_stage__a_bar_in_a_terminal():
    stream = Terminal()
    with Progress(stream).stage("embedding", 3, "proteins") as advance:
        advance(3)
    assert "3/3" in stream.getvalue()
    assert "proteins" in stream.getvalue()


def test_progress__quiet_writes_to_the_log_alone(tmp_path):
    stream = io.StringIO()
    quiet = Progress(stream, quiet=True)
    with quiet.logging():
        quiet.log_to(tmp_path / "run.log")
        with quiet.stage("lookup", 2, "queries") as advance:
            advance(2)
    assert stream.getvalue() == ""
    assert "lookup: 2 of 2 queries" in (tmp_path / "run.log").read_text()


def test_logging__warnings_and_errors_are_noted_and_still_seen(tmp_path):
    before = warnings.showwarning
    quiet = Progress(quiet=True)

    def work():
        with quiet.logging():
            warnings.warn("look out", UserWarning, stacklevel=1)
            quiet.log_to(tmp_path / "run.log")
            quiet.note("going on")
            raise ZeroDivisionError("stop")

    with pytest.warns(UserWarning, match="look out"), pytest.raises(ZeroDivisionError):
        work()
    lines = [line.split(" ", 2)[2] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert lines == ["warning: look out", "going on", "stopped: ZeroDivisionError: stop"]
    assert warnings.showwarning is before


def test_logging__nothing_is_written_without_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError), Progress(quiet=True).logging():
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []
