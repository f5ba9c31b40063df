"""What of a stage is done: a folder of finished parts, and beside them all that they were made from.

A part is one file, written aside, synced and renamed, so a part that bears its name is whole. The folder's
``_made_from.json`` names everything that shapes the parts (settings, and digests of what was read). A stage that
finds the same there goes on where an earlier run stopped; a stage that finds anything else starts anew, so results
of two settings are never mixed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .run_folder import write_json
from .schema import PART_QUERIES
from .store import remove

__all__ = ["Ledger", "digest", "found_ledger", "open_ledger"]

MADE_FROM = "_made_from.json"  # readers of a folder of Parquet files pass over what begins with an underscore


@dataclass(frozen=True)
class Ledger:
    """The finished parts of one stage.

    Attributes
    ----------
    folder : Path
    made_from : dict
        Everything that shapes the parts.
    changed : tuple of str
        What differs from the earlier run whose parts were given up; empty when there was none, or it is taken up.
    """

    folder: Path
    made_from: dict[str, Any]
    changed: tuple[str, ...] = ()

    def part(self, number: int) -> Path:
        """Return the file of a part.

        Examples
        --------
        >>> Ledger(Path("hits"), {}).part(3).name
        'part-00003.parquet'
        """
        return self.folder / f"part-{number:05d}.parquet"

    @property
    def news(self) -> str:
        """Say why the stage starts anew; an empty string when it does not."""
        return f"starts anew: {', '.join(self.changed)} changed" if self.changed else ""

    def missing(self, q: int) -> list[int]:
        """Return the numbers of the parts that q queries still lack."""
        return [number for number in range(-(-q // PART_QUERIES)) if not self.part(number).exists()]


def open_ledger(folder: Path, made_from: Mapping[str, Any]) -> Ledger:
    """Take up the parts in a folder when they were made from the same; else empty it.

    Parameters
    ----------
    folder : Path
        Of one stage and embedding space; made if it is not there.
    made_from : mapping
        Everything that shapes the parts, as plain JSON values by name.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(), "hits")
    >>> _ = open_ledger(folder, {"k": 5}).part(0).write_text("three neighbours")
    >>> open_ledger(folder, {"k": 5}).missing(2000)
    [1]
    >>> again = open_ledger(folder, {"k": 3})
    >>> again.changed, again.missing(2000)
    (('k',), [0, 1])
    """
    note = folder / MADE_FROM
    wanted: dict[str, Any] = json.loads(json.dumps(made_from))
    found = _read(note)
    if found == wanted:
        return Ledger(folder, wanted)
    changed = tuple(name for name in {**wanted, **found} if wanted.get(name) != found.get(name)) if found else ()
    # The note goes first: parts without one are never taken up, should this be the moment of a kill.
    note.unlink(missing_ok=True)
    remove(folder)
    write_json(note, wanted)
    return Ledger(folder, wanted, changed)


def found_ledger(folder: Path) -> Ledger:
    """Return the parts that are in a folder, as they are; with an empty `made_from` where there is no note."""
    return Ledger(folder, _read(folder / MADE_FROM))


def _read(note: Path) -> dict[str, Any]:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def digest(*values: Any) -> str:
    """Return a SHA-256 of arrays and plain values, in hexadecimal; None counts too.

    Examples
    --------
    >>> import numpy as np
    >>> digest(np.arange(3), None) == digest(np.arange(3), None) != digest(np.arange(3.0), None)
    True
    """
    import numpy as np

    sha256 = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            sha256.update(f"{value.dtype.str}{value.shape}".encode())
            sha256.update(np.ascontiguousarray(value).data)
        else:
            sha256.update(repr(value).encode())
    return sha256.hexdigest()
