"""A look at an HDF5 file from a safe distance: the C library can hang or crash on a damaged one, and Python with it.

A child process opens the file first and reads what describes its first ten thousand objects. When it crashes, or
makes no step for five seconds, the file is refused in one sentence; an error that it survives is left to the reader.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from .errors import InputError

__all__ = ["probe_hdf5"]

SECONDS_TO_START, SECONDS_PER_STEP = 120.0, 5.0
LOOK = """
import sys, h5py
left = 10_000
def look(name, item):
    global left
    left -= 1
    list(item.attrs.values())
    if isinstance(item, h5py.Dataset) and item.size * max(item.dtype.itemsize, 1) < 100_000:
        item[()]
    if left % 100 == 0:
        sys.stdout.write("."), sys.stdout.flush()
    return left <= 0 or None
sys.stdout.write("."), sys.stdout.flush()
try:
    with h5py.File(sys.argv[1], "r") as file:
        list(file.attrs.values())
        file.visititems(look)
except Exception:
    pass
"""


def probe_hdf5(path: Path) -> None:
    """Refuse a file on which the HDF5 library hangs or crashes; once per process and state of the file.

    Raises
    ------
    InputError
    """
    state = path.stat()
    _probe(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _probe(path: Path, modified: int, size: int) -> None:
    # -I: nothing of the current folder or the environment is imported
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", LOOK, os.fspath(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with child:
        assert child.stdout is not None
        patience = SECONDS_TO_START
        while select.select([child.stdout], [], [], patience)[0]:
            if not os.read(child.stdout.fileno(), 1):
                break
            patience = SECONDS_PER_STEP
        else:
            child.kill()
            raise InputError(f"{path} is damaged (the HDF5 library hangs on it): make it or fetch it again.")
    if child.returncode < 0:
        raise InputError(f"{path} is damaged (the HDF5 library crashes on it): make it or fetch it again.")
