"""Ctrl-C and SIGTERM: one interruption, a code that says which, and an end even where a thread computes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from fantasia_dask import cli
from fantasia_dask.stopping import stoppable

STUBBORN = """
import signal, subprocess, sys, threading, time
from pathlib import Path
from fantasia_dask import stopping
stopping.GRACE_SECONDS = 0.2
from fantasia_dask.stopping import last_act, stoppable

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
with stoppable() as stop, last_act(lambda: Path(sys.argv[1]).write_text("done")), last_act(lambda: 1 / 0):
    try:
        signal.raise_signal(signal.Signals[sys.argv[2]])
    finally:
        threading.Event().wait()  # it hangs where it should end
"""


DROPPED = """
import gc, signal, sys, threading
from fantasia_dask.stopping import stoppable

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
        signal.getsignal(signal.SIGTERM)  # Python calls the handler before this, and drops what it raises

with stoppable() as stop:
    try:
        Dying()
        if sys.argv[1] == "waits":
            threading.Event().wait()
    except KeyboardInterrupt:
        print("cleared up", stop.code)
print("ended")
"""

UNREAD = """
import asyncio, signal
from fantasia_dask import cli
from fantasia_dask.embed import weights

def interrupted_with_an_unread_failure():
    global kept
    kept = asyncio.new_event_loop().create_future()
    kept.set_exception(TimeoutError("Timeout"))
    signal.raise_signal(signal.SIGTERM)

weights.describe_models = interrupted_with_an_unread_failure
cli.main(["models"])
"""
"""A loop may be stopped between the timeout of what it waits for and the one who reads it; Python complains at exit."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stoppable__one_interruption(number, code):
    before = signal.getsignal(number)
    with stoppable() as stop:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert stop.code == code
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_stoppable__what_hangs_is_left_behind(tmp_path, number, code):
    import psutil

    done = subprocess.run(
        [sys.executable, "-c", STUBBORN, tmp_path / "act", number], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr == "interrupted: the same command takes the run up again.\n"
    assert (tmp_path / "act").read_text() == "done"
    child = int(done.stdout)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_stoppable__an_interruption_that_python_drops_comes_again():
    done = subprocess.run([sys.executable, "-c", DROPPED, "waits"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("cleared up 143\nended\n", "", 0)


def test_stoppable__an_interruption_that_comes_too_late():
    done = subprocess.run([sys.executable, "-c", DROPPED, "ends"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)


def test_stoppable__errors_of_finalizers_are_told():
    class Dying:
        def __del__(self):
            raise ValueError("its own")

    told = []
    before, sys.unraisablehook = sys.unraisablehook, told.append
    try:
        with stoppable():
            Dying()
    finally:
        sys.unraisablehook = before
    assert [str(error.exc_value) for error in told] == ["its own"]


def test_stoppable__outside_the_main_thread_signals_stay_as_they_are():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_main__exit_code(monkeypatch, capsys, number, code):
    monkeypatch.setattr("fantasia_dask.embed.weights.describe_models", lambda: signal.raise_signal(number))
    with pytest.raises(SystemExit) as caught:
        cli.main(["models"])
    assert caught.value.code == code
    assert capsys.readouterr().err.strip() == "interrupted: the same command takes the run up again."


def test_main__its_sentence_is_the_last():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", UNREAD], capture_output=True, text=True, check=False)
    assert done.returncode == 143
    assert done.stderr.strip() == "interrupted: the same command takes the run up again."
