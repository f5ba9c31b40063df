"""A temporary folder that does not long outlive its process: what a killed one leaves, the next one removes.

A process holds its folder by the kernel's lock (``flock``), which ends with it, whatever ended it: neither a reused
process number nor a clock can deceive. The folders of other users and of other machines, for a TMPDIR may be shared,
are left alone; and where the file system has no such lock, all are.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from .stopping import last_act

__all__ = ["scratch"]

MINE = f"fantasia-dask-{platform.node()}-"
"""How the name of a folder made on this machine begins."""


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """Give a temporary folder for the time of a ``with`` block; first remove those whose process was killed.

    Parameters
    ----------
    purpose : str
        A word for its name, to tell a person what it is for.

    Examples
    --------
    >>> with scratch("demo") as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    _sweep(Path(tempfile.gettempdir()))
    folder, held = _made(purpose)
    gone = partial(shutil.rmtree, folder, ignore_errors=True)
    try:
        with last_act(gone):
            yield folder
    finally:
        gone()
        _let_go(held)


def _made(purpose: str) -> tuple[Path, int | None]:
    """Make a folder and hold it; return it with the descriptor that does."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{MINE}{purpose}-"))
        # In the moment before it is held, another process may sweep it away.
        with suppress(FileNotFoundError, BlockingIOError):
            held = _hold(folder)
            if folder.exists():
                return folder, held
            _let_go(held)


def _hold(folder: Path) -> int | None:
    """Take the lock of a folder; return the descriptor that holds it, or None where the file system has no locks."""
    import fcntl

    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        if isinstance(error, BlockingIOError):  # another process has it
            raise
        return None
    return held


def _let_go(held: int | None) -> None:
    if held is not None:
        os.close(held)


def _sweep(place: Path) -> None:
    """Remove the folders whose processes are no more."""
    for folder in place.glob(f"{MINE}*"):
        with suppress(OSError):  # its process lives, or another one sweeps it
            held = _hold(folder) if folder.lstat().st_uid == os.getuid() else None
            if held is not None:
                shutil.rmtree(folder, ignore_errors=True)
            _let_go(held)
