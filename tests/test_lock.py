"""One run in a folder; a lock whose run is no more is taken over, whatever ended that."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time

import pytest

from fantasia_dask import lock as locks
from fantasia_dask.errors import InputError
from fantasia_dask.lock import only_run

HOLD = """
import sys, time
from pathlib import Path
from fantasia_dask.lock import only_run
with only_run(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "run" / "run.lock"


@pytest.fixture
def other(lock):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def pretend(lock, age=0.0, **holder):
    """Leave the lock of a run on another machine, which no kernel lock of ours tells of."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"host": "node17", "process": 4711, "begun": "2026-11-25T08:00:00+00:00"} | holder))
    os.utime(lock, (time.time() - age,) * 2)


def test_only_run__says_who_it_is_and_leaves_nothing(lock):
    with only_run(lock, print):
        holder = json.loads(lock.read_text())
        assert (holder["host"], holder["process"]) == (platform.node(), os.getpid())
    assert not lock.parent.exists()


def test_only_run__an_empty_folder_goes_whoever_made_it(lock):
    lock.parent.mkdir()
    with only_run(lock, print):
        pass
    assert not lock.parent.exists()


def test_only_run__a_folder_that_its_last_holder_removes_meanwhile(lock, monkeypatch):
    real, opened = os.open, []

    def late(path, *arguments, **named):
        if not opened:
            lock.parent.rmdir()
        opened.append(path)
        return real(path, *arguments, **named)

    monkeypatch.setattr(locks.os, "open", late)
    with only_run(lock, print):
        assert lock.exists()
    assert opened == [lock, lock]


def test_only_run__the_folder_stays_when_there_is_something_in_it(lock):
    with only_run(lock, print):
        (lock.parent / "config.yaml").write_text("input: x\n")
    assert [file.name for file in lock.parent.iterdir()] == ["config.yaml"]


def test_only_run__twice_in_one_process(lock):
    with only_run(lock, print), pytest.raises(InputError, match=f"in use by process {os.getpid()} on"):
        only_run(lock, print).__enter__()
    assert not lock.exists()


def test_only_run__another_process(lock, other):
    with pytest.raises(InputError, match=f"in use by process {other.pid} on .*: wait until that has ended") as caught:
        only_run(lock, print).__enter__()
    assert "\n" not in str(caught.value)
    assert json.loads(lock.read_text())["process"] == other.pid, "its lock is untouched"


def test_only_run__killed(lock, other):
    other.kill()
    other.wait()
    said = []
    with only_run(lock, said.append):
        assert json.loads(lock.read_text())["process"] == os.getpid()
    assert len(said) == 1
    assert f"process {other.pid} on {platform.node()}" in said[0]
    assert "stopped without a word" in said[0]


def test_only_run__a_reused_process_number_is_no_life(lock):
    """The number in the file is that of a process that runs, and holds no lock."""
    pretend(lock, host=platform.node(), process=os.getppid())
    with only_run(lock, lambda line: None):
        pass


def test_only_run__another_machine_that_lives(lock):
    pretend(lock, age=30)
    with pytest.raises(InputError, match=f"process 4711 on node17.*or remove {lock}"):
        only_run(lock, print).__enter__()
    assert json.loads(lock.read_text())["host"] == "node17"


def test_only_run__another_machine_that_fell_silent(lock):
    pretend(lock, age=locks.SILENT_SECONDS + 60)
    said = []
    with only_run(lock, said.append):
        pass
    assert "process 4711 on node17" in said[0]


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00\x01"])
def test_only_run__a_lock_that_cannot_be_read(lock, content):
    lock.parent.mkdir()
    lock.write_text(content)
    os.utime(lock, (time.time() - 1000,) * 2)
    with only_run(lock, lambda line: None):
        assert json.loads(lock.read_text())["process"] == os.getpid()


def test_only_run__its_heart_beats(lock, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.02)
    with only_run(lock, print):
        os.utime(lock, (0, 0))
        while lock.stat().st_mtime == 0:
            time.sleep(0.01)


@pytest.mark.parametrize("years", [-10, 10])
def test_only_run__a_clock_that_jumps_lets_no_second_run_in(lock, other, monkeypatch, years):
    monkeypatch.setattr(time, "time", lambda: 1.8e9 + years * 3e7)
    os.utime(lock, (1.8e9 - years * 3e7,) * 2)
    with pytest.raises(InputError, match="in use by"):
        only_run(lock, print).__enter__()


def test_only_run__without_kernel_locks(lock, monkeypatch):
    """Some file systems of clusters have none; there the process number decides."""
    import fcntl

    def unsupported(file, flags):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    pretend(lock, host=platform.node(), process=os.getppid())
    with pytest.raises(InputError, match="in use by"):
        only_run(lock, print).__enter__()
    pretend(lock, host=platform.node(), process=2**22 + 1)
    with only_run(lock, lambda line: None):
        pass


def test_only_run__a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InputError, match=r"cannot be written .*: set base_directory"):
        only_run(tmp_path / "run" / "run.lock", print).__enter__()
