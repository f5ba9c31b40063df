"""Whether a dump of the NCBI taxonomy is whole: told line by line, in the memory of its numbers alone.

A dump that was cut still reads as one, without the clades that were lost, and donors of these would pass any filter.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path

import numpy as np

from ..errors import InputError

__all__ = ["verify_dump"]

FIELD_END = b"\t|"
FIELDS = {"nodes.dmp": 3, "names.dmp": 4, "merged.dmp": 2}
"""What a line has at least; NCBI's own nodes have 13."""


def verify_dump(folder: str | os.PathLike[str], named: str | os.PathLike[str] | None = None) -> None:
    """Refuse a dump of which a part is missing.

    Parameters
    ----------
    folder
        With ``nodes.dmp``, ``names.dmp`` and, if numbers were merged, ``merged.dmp``.
    named : path, optional
        What a mistake is said of instead, such as the archive that the folder comes from.

    Raises
    ------
    InputError
        If a file is missing, a line is not like the others, or ``nodes.dmp`` lacks a parent, a taxon that has a name,
        or one that another was merged into.
    """
    folder = Path(folder)
    for name in ("nodes.dmp", "names.dmp"):
        if not (folder / name).is_file():
            raise InputError(
                f"{named or folder} has no {name}: expected an NCBI taxonomy dump (nodes.dmp, names.dmp, merged.dmp)."
            )
    try:
        _verify(folder)
    except _BrokenError as why:
        raise InputError(f"{named or folder} is no whole NCBI taxonomy dump: {why}. Fetch it again.") from None


class _BrokenError(Exception):
    """What is wrong with a dump."""


def _verify(folder: Path) -> None:
    taxa, parents = _numbers(folder / "nodes.dmp", 2)
    _check_there(parents, taxa, "taxon {of} has no parent in nodes.dmp ({taxon} is missing)", of=taxa)
    (named,) = _numbers(folder / "names.dmp", 1)
    _check_there(named, taxa, "taxon {taxon} of names.dmp is not in nodes.dmp")
    if (folder / "merged.dmp").is_file():
        old, new = _numbers(folder / "merged.dmp", 2)
        _check_there(new, taxa, "taxon {of} of merged.dmp became {taxon}, which is not in nodes.dmp", of=old)


def _numbers(file: Path, columns: int) -> np.ndarray:
    """Read the first columns of a table: int64, shape (columns, lines)."""
    values, fields = array("q"), FIELDS[file.name]
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            parts = line.split(FIELD_END)
            if len(parts) <= fields:
                raise _BrokenError(f"line {number} of {file.name} is cut, or is none of a dump")
            fields = len(parts) - 1
            try:
                values.extend(map(int, parts[:columns]))
            except (ValueError, OverflowError) as error:
                raise _BrokenError(f"line {number} of {file.name} has no number of a taxon") from error
    if not values and file.name != "merged.dmp":
        raise _BrokenError(f"{file.name} is empty")
    return np.frombuffer(values, np.int64).reshape(-1, columns).T if values else np.empty((columns, 0), np.int64)


def _check_there(needed: np.ndarray, taxa: np.ndarray, wrong: str, of: np.ndarray | None = None) -> None:
    lost = np.flatnonzero(~np.isin(needed, taxa))
    if len(lost):
        first = lost[0]
        raise _BrokenError(wrong.format(taxon=needed[first], of="" if of is None else of[first]))
