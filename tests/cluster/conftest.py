"""Programs of dask, started as on a cluster: by themselves, in processes of their own, on the loopback interface."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest


@contextmanager
def process(*command, **more):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = subprocess.Popen([sys.executable, *map(str, command)], **quiet, **more)
    try:
        yield started
    finally:
        started.kill()
        started.wait(30)


@contextmanager
def scheduler(file):
    with process(
        *("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", file),
        *("--dashboard-address", "127.0.0.1:0", "--no-dashboard"),
    ) as started:
        wait(file.exists)
        yield started


def worker(file, folder, *more, program=("-m", "dask", "worker")):
    return process(
        *program,
        *("--scheduler-file", file, "--host", "127.0.0.1", "--worker-port", 0, "--nthreads", 1),
        *("--no-nanny", "--no-dashboard", "--local-directory", folder, *more),
    )


def wait(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="session")
def start_scheduler():
    """Run a scheduler for the time of a ``with`` block, which begins when its file is written."""
    return scheduler


@pytest.fixture(scope="session")
def start_worker():
    """Run a worker without a nanny for the time of a ``with`` block."""
    return worker


@pytest.fixture(scope="session")
def wait_until():
    return wait
