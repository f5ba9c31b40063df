"""Work that is killed and started again, in forks of a process that has imported all that it needs.

So the time goes into the work. The parent itself computes nothing: it has no thread that a fork could lose. A test
gives its work as a script, which `told_by` runs in a process of its own, and which calls the other functions here.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KILLED = -signal.SIGKILL


def told_by(script, *arguments, **environment):
    """Run a script in a process of its own, and return what it prints in its last line, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **environment},
    )
    told = json.loads(done.stdout.splitlines()[-1])
    print(told)
    return told


def rehearse(work):
    """Do some work once in a fork, and import here what it has imported there."""
    reader, writer = os.pipe()

    def noting_modules():
        work()
        os.write(writer, " ".join(sys.modules).encode())

    pid = start(noting_modules)
    os.close(writer)
    with os.fdopen(reader) as modules:
        names = modules.read().split()
    assert ended(pid) == 0
    for name in names:
        with suppress(Exception):  # parts of others that cannot be imported by themselves
            importlib.import_module(name)


def start(work):
    """Begin some work in a fork; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 (os._exit would say nothing of it)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(pid, seconds=3600.0):
    """Return the exit code of a process that ends within some seconds, or None."""
    stop = time.perf_counter() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.perf_counter() > stop:
            return None
        time.sleep(0.001)


def killed_after(pid, seconds):
    """Kill a process that has not ended within some seconds; return its exit code."""
    code = ended(pid, seconds)
    if code is None:
        os.kill(pid, signal.SIGKILL)
        # It may have come to its end in the moment before the kill.
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code
