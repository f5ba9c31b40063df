"""What is done: finished parts or files, and beside them all that they were made from.

A part is one file, written aside, synced and renamed, so a part that bears its name is whole. The folder's
``_made_from.json`` names everything that shapes the parts (settings, and digests of what was read). A stage that
finds the same there goes on where an earlier run stopped; a stage that finds anything else starts anew, so results
of two settings are never mixed.

Exports are each shaped by settings of their own, and people handle them. So ``ledger.json`` has an entry for each: what
it was made from, and the digests of its files, which must still be those on disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .run_folder import EXPORTS, LEDGER, RunFolder, file_sha256, write_json
from .schema import PART_QUERIES
from .store import remove

__all__ = ["FileLedger", "Ledger", "digest", "found_ledger", "open_files", "open_ledger", "path_digest"]

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


LISTING = "ro-crate"
"""The export that lists the others, with their digests: it is made again whenever one of them is."""


@dataclass
class FileLedger:
    """The exports of a run folder: those that are finished, and why the others are made.

    Attributes
    ----------
    folder : RunFolder
    made_from : dict
        What each export that is wanted is made from, by name.
    entries : dict
        Of the finished ones, by name: ``made_from``; ``files``, path and digest; ``day``.
    why : dict
        Why each of the others is made, by name.
    dropped : tuple of str
        Exports that were finished, are not wanted any more, and were removed.
    day : str
        When the exports of this folder were begun (ISO 8601): files that tell a date tell this one, whenever one of
        them is made again.
    """

    folder: RunFolder
    made_from: dict[str, Any]
    entries: dict[str, Any]
    why: dict[str, str]
    dropped: tuple[str, ...]
    day: str

    def lacks(self, name: str) -> bool:
        """Tell whether an export is to be made."""
        return name in self.why and name not in self.entries

    @contextmanager
    def making(self, name: str) -> Iterator[None]:
        """Enter an export as finished when the block that makes it ends well."""
        yield
        files = {file: path_digest(self.folder.path / file) for file in EXPORTS[name]}
        self.entries[name] = {"made_from": self.made_from[name], "files": files, "day": self.day}
        write_json(self.folder.path / LEDGER, self.entries)

    @property
    def news(self) -> str:
        """Say in one line what is made and why, where something was finished before; else an empty string."""
        if not self.entries and not self.dropped:
            return ""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.why.items():
            reasons.setdefault(reason, []).append(name)
        told = [f"{', '.join(names)} ({reason})" for reason, names in reasons.items()]
        parts = [f"to make: {'; '.join(told)}"] if told else []
        parts += [f"removed: {', '.join(self.dropped)} (no longer wanted)"] if self.dropped else []
        return f"exports {'; '.join(parts)}" if parts else "exports: nothing to do, all are finished"


def open_files(
    folder: RunFolder, made_from: Mapping[str, Any], *, day: str, among: Iterable[str] = EXPORTS
) -> FileLedger:
    """Take up the exports that were made from the same and are on disk as they were written; remove the others.

    Parameters
    ----------
    folder : RunFolder
    made_from : mapping
        Everything that shapes each export that is wanted, by its name in `run_folder.EXPORTS`, as plain JSON values.
    day : str
        Today, or when the run was begun (ISO 8601).
    among : iterable of str
        The exports that are asked about; others are left alone.
    """
    wanted: dict[str, Any] = json.loads(json.dumps(made_from))
    found = {name: entry for name, entry in _read(folder.path / LEDGER).items() if _is_entry(name, entry)}
    why = {name: _why_made(folder.path, found.get(name), wanted[name]) for name in wanted}
    gone = [name for name in among if why.get(name, "not wanted")]
    if LISTING not in gone and (set(gone) & {*found, *wanted}):
        why[LISTING] = "it lists the others"
        gone.append(LISTING)
    entries = {name: entry for name, entry in found.items() if name not in gone}
    if entries != found:  # the ledger goes first: should this be the moment of a kill, it speaks for no file too many
        write_json(folder.path / LEDGER, entries)
    for name in gone:
        folder.clear_export(name)
    dropped = tuple(name for name in found if name in gone and name not in wanted)
    begun = min((entry["day"] for entry in entries.values()), default=day)
    return FileLedger(folder, wanted, entries, {name: reason for name, reason in why.items() if reason}, dropped, begun)


def _is_entry(name: str, entry: Any) -> bool:
    """Tell whether a line of ledger.json is one of ours; others are not trusted."""
    kinds = {"made_from": dict, "files": dict, "day": str}
    return name in EXPORTS and isinstance(entry, dict) and all(isinstance(entry.get(k), t) for k, t in kinds.items())


def _why_made(folder: Path, entry: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> str:
    """Say why an export cannot be taken up; an empty string when it can."""
    if entry is None:
        return "not there yet"
    before = entry["made_from"]
    if changed := [name for name in {**wanted, **before} if wanted.get(name) != before.get(name)]:
        return f"{', '.join(changed)} changed"
    now = {file: path_digest(folder / file) for file in entry["files"]}
    if any(sha256 and not now[file] for file, sha256 in entry["files"].items()):
        return "deleted"
    return "" if now == entry["files"] else "changed on disk"


def path_digest(path: Path) -> str | None:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files; None where there is nothing.

    What desktops and notebooks hide in a folder (``.DS_Store``, ``.ipynb_checkpoints``) does not count.
    """
    if path.is_file():
        return file_sha256(path)
    if not path.is_dir():
        return None
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    shown = [file for file in files if not any(part.startswith(".") for part in Path(file).parts)]
    return digest(*(word for file in shown for word in (file, file_sha256(path / file))))


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
