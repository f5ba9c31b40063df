"""Where a bundle is put together: a folder beside it, which a stopped command leaves to the next one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..lock import only_run
from ..mishaps import told_plainly
from ..progress import Progress
from ..store import remove
from .bundle import MANIFEST, OF_YOUR_OWN, beside, check_free

__all__ = ["identity", "making"]

LOCK = "making.lock"
MADE_FROM = "made_from.json"
FULL = {errno.ENOSPC: "disk", errno.EDQUOT: "quota"}


@contextmanager
def making(
    out: Path,
    overwrite: bool,
    progress: Progress,
    made_from: Mapping[str, Any] | None = None,
    until_made: Path | None = None,
) -> Iterator[Path]:
    """Make a folder beside a bundle that is to be, for the time of a ``with`` block.

    The finished store is moved from there, which is a rename within one file system. With `made_from`, a command that
    is stopped, or for which the disk has no room, leaves the folder as it is; one that ends, or finds a mistake,
    removes it.

    Parameters
    ----------
    out : Path
        The bundle.
    overwrite : bool
        Whether a bundle that is there may be replaced.
    progress : Progress
        Told when the work of an earlier command is taken up.
    made_from : mapping, optional
        All that the work depends on, as JSON values. What a stopped command left is kept where it was made from the
        same, and removed otherwise; without `made_from` always.
    until_made : Path, optional
        What else is needed until the bundle is there, whatever happens before, and no longer.

    Raises
    ------
    InputError
        If something is at `out` that may not be replaced, `out` is no name, another command makes it just now, or the
        disk is full.
    """
    folder = beside(out, "making")
    remedies = ("give the reference another name", OF_YOUR_OWN)
    alone = partial(only_run, folder / LOCK, progress.line, remedies)
    try:
        check_free(out, overwrite)
    except InputError:
        if _is_done(out, folder):
            with suppress(InputError), alone():
                _clear(folder, until_made)
        raise
    with told_plainly(out, goes_on=made_from is not None or until_made is not None), alone():
        check_free(out, overwrite)  # another command may have made it meanwhile
        if _take_up(folder, made_from):
            progress.line(f"{out}: going on where an earlier command stopped")
        kept, done = False, None
        try:
            yield folder
            done = until_made
        except (OSError, KeyboardInterrupt) as error:
            kept = made_from is not None
            if isinstance(error, KeyboardInterrupt) or error.errno not in FULL:
                raise
            keeps = f" What is done is kept in {folder}." if kept else ""
            raise InputError(
                f"the {FULL[error.errno]} of {out} is full: while it is made, a reference takes twice the size of its "
                f"vectors; make room and give the same command again, or choose another place.{keeps}"
            ) from error
        finally:
            if not kept:
                _clear(folder, done)


def _is_done(out: Path, folder: Path) -> bool:
    """Tell whether a command was killed between its last step, the bundle, and clearing up."""
    try:
        return (out / MANIFEST).stat().st_mtime_ns > (folder / MADE_FROM).stat().st_mtime_ns
    except OSError:
        return False


def _clear(folder: Path, also: Path | None) -> None:
    """Remove all but the lock, which is held: its holder removes it last, and the folder with it."""
    if also is not None:
        remove(also)
    with suppress(FileNotFoundError):  # a folder that somebody has removed is clear
        for path in list(folder.iterdir()):
            if path.name != LOCK:
                remove(path)


def _take_up(folder: Path, made_from: Mapping[str, Any] | None) -> bool:
    """Remove what was left by work on something else; tell whether anything of the same work is there."""
    try:
        same = made_from is not None and json.loads((folder / MADE_FROM).read_text(encoding="utf-8")) == made_from
    except (OSError, ValueError):
        same = False
    left = [path for path in folder.iterdir() if path.name not in (LOCK, MADE_FROM)]
    if same:
        return bool(left)
    for path in left:
        remove(path)
    (folder / MADE_FROM).write_text(json.dumps(made_from), encoding="utf-8")
    return False


def identity(path: str | os.PathLike[str]) -> list[Any]:
    """Tell a file, or all files of a folder, from others: by the place, and by the size and time of each.

    A file whose content is changed in place, with its size and time as before, is taken for the same.

    Returns
    -------
    list
        The path, and for each file its path within it, its size in bytes and its time in nanoseconds; JSON values.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "go.obo").write_text("format-version: 1.2")
    >>> identity(folder) == identity(folder)
    True
    >>> identity(folder)[1][:2]
    ['go.obo', 19]
    """
    path = Path(path).resolve()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    facts = [(file, file.stat()) for file in files]
    return [str(path), *([str(file.relative_to(path)), of.st_size, of.st_mtime_ns] for file, of in facts)]
