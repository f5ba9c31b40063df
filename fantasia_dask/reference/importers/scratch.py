"""Where a bundle is put together."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError
from ...store import remove
from ..bundle import check_free

__all__ = ["scratch_beside"]


@contextmanager
def scratch_beside(out: Path, overwrite: bool) -> Iterator[Path]:
    """Make a folder beside a bundle that is to be, for the time of a ``with`` block.

    The finished store is moved from there, which is a rename within one file system.

    Raises
    ------
    InputError
        If something is at `out` that may not be replaced, or the disk is full.
    """
    check_free(out, overwrite)
    # One name for each bundle: what a killed command left is removed by the next, and not kept beside it for ever.
    folder = out.with_name(f".{out.name}.making")
    remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError(
            f"the disk of {out} is full: while it is made, a reference takes twice the size of its vectors; make room "
            "or choose another."
        ) from error
    finally:
        remove(folder)
