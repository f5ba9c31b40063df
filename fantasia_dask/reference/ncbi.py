"""A dump of the NCBI taxonomy: lineages, names and merged numbers, read with taxopy."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import InputError, did_you_mean
from .dump_check import verify_dump

__all__ = [
    "Taxa",
    "dump_files",
    "is_number",
    "lineages_from_dump",
    "merged_taxa",
    "nearest_taxon",
    "open_dump",
    "resolve_taxa",
    "taxon_of",
]

Taxa: TypeAlias = Iterable[int | str]
"""NCBI taxon numbers, or names, as a configuration lists them."""

LARGEST = 10_000_000
"""NCBI numbers in order, and had come to three million in 2026: a larger number is a slip, of no release to come."""


def is_number(word: int | str) -> bool:
    """Tell whether a word is a taxon's number, not its name."""
    text = str(word).strip()
    return text.isascii() and text.isdigit() and len(text) < 12


def taxon_of(word: int | str) -> int:
    """Return the number that a word is.

    Raises
    ------
    InputError
        If NCBI has not come to that number.
    """
    taxon = int(word)
    if taxon > LARGEST:
        raise InputError(f"{taxon} is no taxon: NCBI's numbers are below {LARGEST:,}; expected one such as 9606.")
    return taxon


def nearest_taxon(taxon: int, names: Mapping[int, str]) -> str:
    """Return a sentence that names the taxa whose numbers are one slip away, or an empty string.

    A slip is a digit too many, too few, another one, or two that have changed places. Of several, the first three of
    `names` are given.

    Examples
    --------
    >>> nearest_taxon(9660, {9606: "Homo sapiens", 4932: ""})
    ' Did you mean 9606 (Homo sapiens)?'
    >>> nearest_taxon(562, {9606: "Homo sapiens"})
    ''
    """
    text = str(taxon)
    heads = [(text[:i], text[i:]) for i in range(len(text) + 1)]
    slips = {head + tail[1:] for head, tail in heads} | {
        head + tail[1] + tail[0] + tail[2:] for head, tail in heads if len(tail) > 1
    }
    for digit in "0123456789":
        slips |= {head + digit + tail for head, tail in heads} | {head + digit + tail[1:] for head, tail in heads}
    slipped = {int(slip) for slip in slips if slip} - {taxon}
    near = [number for number in names if number in slipped]
    shown = " or ".join(f"{number} ({names[number]})" if names[number] else str(number) for number in near[:3])
    return f" Did you mean {shown}?" if shown else ""


def dump_files(folder: str | os.PathLike[str] | None) -> tuple[Path, ...]:
    """Return the files of a dump that are there; none without a dump."""
    files = [Path(folder, f"{name}.dmp") for name in ("nodes", "names", "merged")] if folder is not None else []
    return tuple(file for file in files if file.is_file())


def merged_taxa(folder: str | os.PathLike[str]) -> Mapping[int, int]:
    """Return the numbers that were merged into others, each with its new one."""
    return _merged(open_dump(Path(folder)))


def lineages_from_dump(folder: str | os.PathLike[str], taxa: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Read the ancestors of taxa from an NCBI dump (``nodes.dmp``, ``names.dmp``, ``merged.dmp``).

    Parameters
    ----------
    folder
        Where the dump lies; it is left as it is.
    taxa : iterable of int
        For instance the distinct taxa of a reference.

    Returns
    -------
    dict
        Taxon to itself and its ancestors up to the root. A merged number has its own, its new one and the ancestors
        of that; a number that the dump does not know has itself alone.

    Raises
    ------
    InputError
        If the dump is incomplete or broken: a file missing, a parent missing, ancestors in a circle.
    """
    database = open_dump(Path(folder))
    return {taxon: _lineage(taxon, database, Path(folder)) for taxon in sorted({int(t) for t in taxa})}


def _lineage(taxon: int, database: Any, folder: Path) -> tuple[int, ...]:
    parents = database.taxid2parent
    current = _merged(database).get(taxon, taxon)
    lineage = dict.fromkeys((taxon, current))
    while current in parents and parents[current] != current:
        current = parents[current]
        if current in lineage:
            raise InputError(f"{folder / 'nodes.dmp'}: the ancestors of taxon {taxon} run in a circle at {current}.")
        if current not in parents:
            raise InputError(
                f"{folder / 'nodes.dmp'} has no taxon {current}, an ancestor of {taxon}: fetch the whole dump again."
            )
        lineage[current] = None
    return tuple(lineage)


def resolve_taxa(words: Taxa, folder: str | os.PathLike[str], *, likely: Iterable[int] = ()) -> list[int]:
    """Bring numbers and names to current taxon numbers, with an NCBI dump.

    Names are scientific names, synonyms or common names, in any case; merged numbers become their new ones. A name
    that several taxa bear stands for all of them. An unknown number is compared with the `likely` ones for a
    suggestion.

    Raises
    ------
    InputError
        If the dump knows no such taxon, naming the nearest.
    """
    database = open_dump(Path(folder))
    found: list[int] = []
    for word in words:
        if is_number(word):
            taxon = taxon_of(word)
            current = _merged(database).get(taxon, taxon)
            if current not in database.taxid2parent:
                raise InputError(
                    f"{folder} knows no taxon {taxon}: expected an NCBI number, or a newer dump."
                    + nearest_taxon(taxon, {near: database.taxid2name.get(near, "") for near in sorted(set(likely))})
                )
            found.append(current)
        else:
            found += _by_name(str(word).strip(), Path(folder))
    return list(dict.fromkeys(found))


def _by_name(name: str, folder: Path) -> Collection[int]:
    index = _names(folder)
    if name.lower() not in index:
        raise InputError(f"{folder} knows no taxon named {name!r}.{did_you_mean(name.lower(), index)}")
    return sorted(index[name.lower()])


def _merged(database: Any) -> Mapping[int, int]:
    return database.oldtaxid2newtaxid or {}


def _names(folder: Path) -> dict[str, set[int]]:
    """Every name of the dump, lower case, with the taxa that bear it."""
    return _index(folder.absolute(), _stamp(folder))


@lru_cache(maxsize=1)
def _index(folder: Path, stamp: tuple[int, ...]) -> dict[str, set[int]]:
    database = open_dump(folder)
    index: dict[str, set[int]] = {}
    for taxon, kinds in database.taxid2all_names.items():
        current = _merged(database).get(taxon, taxon)
        for name in (name for names in kinds.values() for name in names):
            index.setdefault(name.lower(), set()).add(current)
    return index


def open_dump(folder: Path) -> Any:
    """Read a dump once per process, and again when it has changed: the whole of NCBI's takes 40 s and 2 GB."""
    return _database(folder, folder.absolute(), _stamp(folder))


def _stamp(folder: Path) -> tuple[int, ...]:
    return tuple(file.stat().st_mtime_ns for file in dump_files(folder))


@lru_cache(maxsize=1)
def _database(folder: Path, absolute: Path, stamp: tuple[int, ...]) -> Any:
    import taxopy

    nodes, names, merged = (folder / f"{name}.dmp" for name in ("nodes", "names", "merged"))
    for file in (nodes, names):
        if not file.is_file():
            raise InputError(f"{file} is missing: expected an NCBI taxonomy dump (nodes.dmp, names.dmp, merged.dmp).")
    try:
        # Files are named one by one: given only a folder, taxopy deletes the files in it when it has read them.
        return taxopy.TaxDb(
            nodes_dmp=str(nodes), names_dmp=str(names), merged_dmp=str(merged) if merged.is_file() else None
        )
    except (OSError, ValueError, IndexError, KeyError) as error:
        verify_dump(folder)  # says where it is broken
        raise InputError(f"{folder} is no whole NCBI taxonomy dump ({error!r}): fetch it again.") from error
