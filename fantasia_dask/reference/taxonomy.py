"""Which proteins may lend an annotation, by the taxon they come from.

Lists of taxa are NCBI numbers, or names. Without a taxonomy a taxon means exactly itself; with the lineages of the
donors' taxa (`lineages_from_dump`) it means all of its descendants too.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fantasia_dask.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Taxa", "donor_rows", "lineages_from_dump", "protein_mask", "resolve_taxa"]

Taxa: TypeAlias = Iterable[int | str]
"""NCBI taxon numbers, or names, as a configuration lists them."""

UNKNOWN = 0
"""The taxon of a protein whose taxon is not known."""

Lineages: TypeAlias = Mapping[int, tuple[int, ...]]
"""For a taxon: itself, the number it was merged into if it was, and all its ancestors."""


def protein_mask(
    proteins: pd.DataFrame,
    *,
    exclude: Taxa = (),
    include: Taxa = (),
    lineages: Lineages | None = None,
    descendants: bool | None = None,
    dump: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """Tell which proteins pass the taxonomy filter.

    Parameters
    ----------
    proteins : DataFrame
        Columns of `schema.PROTEINS`.
    exclude, include
        Taxa left out, and taxa that alone are let in; the latter, when there are any, override the former. A protein
        whose taxon is not known passes neither list, as in FANTASIA. Without a dump, names are those in the
        column `organism`.
    lineages : mapping, optional
        For a taxon: itself and its ancestors, as `lineages_from_dump` returns it; a taxon that it does not name has
        no known ancestors.
    descendants : bool, optional
        Whether a taxon stands for its descendants too; by default when `lineages` are given.
    dump
        Folder of an NCBI dump: the source of names, merged numbers and lineages. Read only if a taxon is listed.

    Returns
    -------
    bool array, shape (proteins,)

    Raises
    ------
    InputError
        If a taxon is unknown, or descendants are asked for without lineages or a dump.

    Examples
    --------
    >>> import pandas as pd
    >>> proteins = pd.DataFrame({"taxon": [4932, 562, 0], "organism": ["yeast", "E. coli", ""]})
    >>> protein_mask(proteins, exclude=[4932])
    array([False,  True, False])
    >>> protein_mask(proteins, include=[2], lineages={562: (562, 2, 1)})
    array([False,  True, False])
    """
    included, excluded = list(include), list(exclude)
    words = included or excluded
    if not words:
        return np.ones(len(proteins), bool)
    taxa = proteins["taxon"].to_numpy()
    distinct = {int(taxon) for taxon in np.unique(taxa)}
    chosen = _numbers(words, proteins) if dump is None else _current_numbers(words, dump)
    known = lineages if descendants is not False else None
    if descendants and known is None:
        known = _needed_lineages(dump, distinct)
    matching = [taxon for taxon in distinct if not chosen.isdisjoint((known or {}).get(taxon, (taxon,)))]
    among = np.isin(taxa, matching)
    # Of a protein without a known taxon nobody can say that it is not of an excluded one.
    return among if included else ~among & (taxa != UNKNOWN)


def _needed_lineages(dump: str | os.PathLike[str] | None, taxa: Iterable[int]) -> Lineages:
    if dump is None:
        raise InputError(
            "descendants of a taxon are not known without a taxonomy: set taxonomy_dump to a folder with NCBI's "
            "nodes.dmp and names.dmp, or get_descendants: false."
        )
    return lineages_from_dump(dump, taxa)


def _current_numbers(words: Taxa, dump: str | os.PathLike[str]) -> set[int]:
    """Bring words to current numbers, and keep the merged ones too: a protein may still bear the old number."""
    return set(resolve_taxa(words, dump)) | {int(word) for word in words if _is_number(word)}


def _numbers(words: Taxa, proteins: pd.DataFrame) -> set[int]:
    """Bring numbers and organisms' names to taxon numbers."""
    words = list(words)
    numbers = {int(word) for word in words if _is_number(word)}
    unread = [str(word).strip() for word in words if not _is_number(word)]
    if unread:
        by_name: dict[str, set[int]] = {}
        for organism, taxon in proteins[["organism", "taxon"]].drop_duplicates().itertuples(index=False):
            by_name.setdefault(str(organism).lower(), set()).add(int(taxon))
        for name in unread:
            if not name or name.lower() not in by_name:
                raise InputError(
                    f"no organism of the reference is named {name!r}: give its NCBI number, or a taxonomy dump that "
                    f"knows the name.{did_you_mean(name.lower(), by_name)}"
                )
            numbers |= by_name[name.lower()]
    return numbers


def _is_number(word: int | str) -> bool:
    text = str(word).strip()
    return text.isascii() and text.isdigit() and len(text) < 12


def donor_rows(
    proteins: pd.DataFrame, annotations: pd.DataFrame, mask: np.ndarray, *, donors: str = "annotated"
) -> np.ndarray:
    """Tell which rows of the reference may answer a query.

    Parameters
    ----------
    proteins, annotations : DataFrame
        Columns of `schema.PROTEINS` and `schema.ANNOTATIONS`.
    mask : bool array, shape (proteins,)
        The proteins that passed, as `protein_mask` returns it.
    donors : {"annotated", "all"}
        Whether one of the row's passing proteins must be annotated, or any passing protein will do.

    Returns
    -------
    bool array, shape (r,)
    """
    if donors not in ("annotated", "all"):
        raise InputError(f"donors is {donors!r}: expected annotated or all.")
    passing = np.asarray(mask, bool)
    if donors == "annotated":
        passing = passing & proteins["protein"].isin(annotations["protein"].unique()).to_numpy()
    rows = proteins["row"].to_numpy()
    may_answer = np.zeros(int(rows.max()) + 1 if len(rows) else 0, bool)
    may_answer[rows[passing]] = True
    return may_answer


# The NCBI dump ------------------------------------------------------------------------------------------------------


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
    database = _open_dump(Path(folder))
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


def resolve_taxa(words: Taxa, folder: str | os.PathLike[str]) -> list[int]:
    """Bring numbers and names to current taxon numbers, with an NCBI dump.

    Names are scientific names, synonyms or common names, in any case; merged numbers become their new ones. A name
    that several taxa bear stands for all of them.

    Raises
    ------
    InputError
        If the dump knows no such taxon, naming the nearest.
    """
    database = _open_dump(Path(folder))
    found: list[int] = []
    for word in words:
        if _is_number(word):
            taxon = int(word)
            current = _merged(database).get(taxon, taxon)
            if current not in database.taxid2parent:
                raise InputError(f"{folder} knows no taxon {taxon}: expected an NCBI number, or a newer dump.")
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


@lru_cache(maxsize=1)
def _names(folder: Path) -> dict[str, set[int]]:
    """Every name of the dump, lower case, with the taxa that bear it."""
    database = _open_dump(folder)
    index: dict[str, set[int]] = {}
    for taxon, kinds in database.taxid2all_names.items():
        current = _merged(database).get(taxon, taxon)
        for name in (name for names in kinds.values() for name in names):
            index.setdefault(name.lower(), set()).add(current)
    return index


@lru_cache(maxsize=1)
def _open_dump(folder: Path) -> Any:
    """Read a dump once per process: the whole of NCBI's takes 40 s and 2 GB."""
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
        raise InputError(f"{folder} is no whole NCBI taxonomy dump ({error!r}): fetch it again.") from error
