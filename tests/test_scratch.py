"""Temporary folders: gone with their process, or with the next one when that was killed; others' are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fantasia_dask import scratch as module
from fantasia_dask.scratch import scratch

HOLD = """
import sys, time
from fantasia_dask.scratch import scratch
with scratch("workers") as folder:
    (folder / "spilled").write_text("much")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The temporary folder, of these tests alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(place):
    """Another process, and its folder."""
    environment = {**os.environ, "TMPDIR": str(place)}
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=environment)
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.wait()
    process.stdout.close()


def test_scratch__nothing_is_left(place):
    with scratch("workers") as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "spilled").write_text("much")
    assert list(place.iterdir()) == []


def test_scratch__not_even_when_the_work_fails(place):
    with pytest.raises(ZeroDivisionError), scratch("workers"):
        raise ZeroDivisionError
    assert list(place.iterdir()) == []


def test_scratch__each_its_own(place):
    with scratch("workers") as one, scratch("workers") as two:
        assert one != two
        assert one.is_dir()


def test_scratch__of_a_process_that_lives(other):
    _, folder = other
    with scratch("selftest"):
        assert (folder / "spilled").exists()


def test_scratch__of_a_process_that_was_killed(other):
    process, folder = other
    process.kill()
    process.wait()
    assert (folder / "spilled").exists()
    with scratch("selftest"):
        assert not folder.exists(), "whatever it was for"


def test_scratch__of_others(place, monkeypatch):
    """Another machine's, as far as one can tell; something else; a link that leads elsewhere."""
    elsewhere = place / "elsewhere"
    kept = [place / "fantasia-dask-othernode-workers-x", place / "fantasia-dask-notes", elsewhere]
    for folder in kept:
        folder.mkdir()
        (folder / "file").write_text("theirs")
    link = place / f"{module.MINE}workers-x"
    link.symlink_to(elsewhere)
    file = place / f"{module.MINE}workers-y"
    file.write_text("no folder")
    with scratch("workers"):
        pass
    assert all((folder / "file").exists() for folder in kept)
    assert link.is_symlink()
    assert file.exists()


def test_scratch__of_another_user(place, monkeypatch):
    theirs = place / f"{module.MINE}workers-x"
    theirs.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    with scratch("workers"):
        assert theirs.exists()


def test_scratch__swept_before_it_is_held(place, monkeypatch):
    make, made = tempfile.mkdtemp, []

    def unlucky(**how):
        made.append(make(**how))
        if len(made) == 1:
            os.rmdir(made[0])  # noqa: PTH106
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", unlucky)
    with scratch("workers") as folder:
        assert made == [made[0], str(folder)]
        assert folder.is_dir()


def test_scratch__where_there_are_no_locks(place, monkeypatch):
    """Then nobody can tell whether a process lives, and what was left stays."""
    left = place / f"{module.MINE}workers-x"
    left.mkdir()
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(95, "Operation not supported")))
    with scratch("workers") as folder:
        assert folder.is_dir()
    assert list(place.iterdir()) == [left]
