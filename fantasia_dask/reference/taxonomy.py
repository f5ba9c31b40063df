"""Which proteins may lend an annotation, by the taxon they come from.

Lists of taxa are NCBI numbers, or names. Without a taxonomy a taxon means exactly itself; with the lineages of the
donors' taxa it can mean all of its descendants too. A reference may carry these (`lineages.Taxonomy`); else they come
from a dump of the NCBI taxonomy (`ncbi.lineages_from_dump`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import FantasiaWarning, InputError, did_you_mean
from .lineages import Taxonomy
from .ncbi import Taxa, is_number, lineages_from_dump, merged_taxa, nearest_taxon, resolve_taxa, taxon_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["donor_rows", "protein_mask"]

UNKNOWN = 0
"""The taxon of a protein whose taxon is not known."""

ROOT = 1
"""The one taxon that has no ancestor."""

Lineages: TypeAlias = Mapping[int, tuple[int, ...]]
"""For a taxon: itself, the number it was merged into if it was, and all its ancestors."""


def protein_mask(
    proteins: pd.DataFrame,
    *,
    exclude: Taxa = (),
    include: Taxa = (),
    lineages: Lineages | None = None,
    taxonomy: Taxonomy | None = None,
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
        For a taxon: itself and its ancestors, as `lineages_from_dump` returns it.
    descendants : bool, optional
        Whether a taxon stands for its descendants too; by default when `lineages` are given. A protein of a taxon
        whose lineage is not known then passes neither list, unless that very taxon is let in.
    dump
        Folder of an NCBI dump: the source of names, merged numbers and lineages. Read only if a taxon is listed.

    Returns
    -------
    bool array, shape (proteins,)

    Raises
    ------
    InputError
        If a dump does not know a taxon, nobody knows a name, a number is larger than NCBI's, or descendants are asked
        for without lineages, a taxonomy or a dump.

    Warns
    -----
    FantasiaWarning
        If there is no dump and a number is that of no protein, and of no ancestor of one: a clade of which the
        reference has no protein, or a slip. Only a dump can tell them apart. Also if proteins are left out because
        the lineage of their taxon is not known.

    Examples
    --------
    >>> import pandas as pd
    >>> proteins = pd.DataFrame({"taxon": [4932, 562, 0], "organism": ["yeast", "E. coli", ""]})
    >>> protein_mask(proteins, exclude=[4932])
    array([False,  True, False])
    >>> protein_mask(proteins, include=[2], lineages={562: (562, 2, 1), 4932: (4932, 4751, 1)})
    array([False,  True, False])
    """
    included, excluded = list(include), list(exclude)
    words = included or excluded
    if not words:
        return np.ones(len(proteins), bool)
    if descendants and lineages is None and taxonomy is None and dump is None:
        raise InputError(
            "descendants of a taxon are not known, as the reference carries no lineages: set taxonomy_dump to a folder "
            "with NCBI's nodes.dmp and names.dmp, or get_descendants: false."
        )
    taxa = proteins["taxon"].to_numpy()
    distinct = {int(taxon) for taxon in np.unique(taxa)}
    merged: Mapping[int, int]
    if dump is not None:
        chosen, merged = _current_numbers(words, dump, distinct), merged_taxa(dump)
    elif taxonomy is not None:
        chosen, merged = _carried_numbers(words, taxonomy, proteins), taxonomy.merged
    else:
        chosen, merged = _numbers(words, proteins), {}
        _warn_of_strangers(chosen - {taxon for lineage in (lineages or {}).values() for taxon in lineage}, proteins)
    known: Lineages = {taxon: (taxon, merged.get(taxon, taxon)) for taxon in distinct}
    if descendants or (descendants is None and (lineages is not None or taxonomy is not None)):
        known = _lineages(lineages, taxonomy, dump, distinct)
    matching = [taxon for taxon in distinct if not chosen.isdisjoint(known.get(taxon, (taxon,)))]
    strange = {taxon for taxon in distinct - {*matching, UNKNOWN, ROOT} if len(known.get(taxon, ())) < 2}
    _warn_of_unplaced(strange, taxa)
    # Of a protein whose taxon or lineage is not known nobody can say that it is not of an excluded one.
    return np.isin(taxa, matching) if included else ~np.isin(taxa, [*matching, *strange, UNKNOWN])


def _warn_of_unplaced(strange: set[int], taxa: np.ndarray) -> None:
    """Tell of proteins that are left out because nobody knows which clades they belong to."""
    if strange:
        first = ", ".join(map(str, sorted(strange)[:3]))
        warnings.warn(
            f"{int(np.isin(taxa, list(strange)).sum())} proteins of the reference are left out, as the lineage of "
            f"their taxon is not known ({first}{', ...' if len(strange) > 3 else ''}): set taxonomy_dump to a folder "
            "with NCBI's nodes.dmp and names.dmp that has them.",
            FantasiaWarning,
            stacklevel=3,
        )


def _lineages(
    lineages: Lineages | None, taxonomy: Taxonomy | None, dump: str | os.PathLike[str] | None, taxa: Iterable[int]
) -> Lineages:
    """Return what is known of the taxa; a dump may be older than the lineages that a reference carries."""
    if lineages is not None:
        return lineages
    carried = {} if taxonomy is None else taxonomy.lineages
    of_dump = {} if dump is None else lineages_from_dump(dump, taxa)
    return {**carried, **{taxon: lineage for taxon, lineage in of_dump.items() if len(lineage) > 1}}


def _current_numbers(words: Taxa, dump: str | os.PathLike[str], likely: Iterable[int]) -> set[int]:
    """Bring words to current numbers, and keep the merged ones too: a protein may still bear the old number."""
    words = list(words)
    return set(resolve_taxa(words, dump, likely=likely)) | {taxon_of(word) for word in words if is_number(word)}


def _carried_numbers(words: Taxa, taxonomy: Taxonomy, proteins: pd.DataFrame) -> set[int]:
    """Bring words to current numbers, merged ones kept, with what the reference knows of its own taxa."""
    chosen = _numbers(words, proteins, taxonomy.names)
    _warn_of_strangers(chosen - set(taxonomy.merged) - taxonomy.taxa, proteins, taxonomy.names)
    return chosen | {taxonomy.merged[taxon] for taxon in chosen if taxon in taxonomy.merged}


def _warn_of_strangers(
    taxa: Iterable[int], proteins: pd.DataFrame, names: Mapping[str, Iterable[int]] | None = None
) -> None:
    """Tell of numbers that nothing in the reference has, and of those that may have been meant."""
    organisms = proteins[["taxon", "organism"]].drop_duplicates("taxon").sort_values("taxon")
    named = {int(taxon): str(organism) for taxon, organism in organisms.itertuples(index=False)}
    for name, borne_by in (names or {}).items():  # ancestors come after the taxa that proteins are of
        named |= {taxon: named.get(taxon) or name for taxon in borne_by}
    named.pop(UNKNOWN, None)
    for taxon in sorted(set(taxa) - {int(taxon) for taxon in proteins["taxon"].unique()}):
        warnings.warn(
            f"taxon {taxon} is of no protein in the reference, nor an ancestor of one that it knows, so that "
            f"it chooses none.{nearest_taxon(taxon, named)}",
            FantasiaWarning,
            stacklevel=4,
        )


def _numbers(words: Taxa, proteins: pd.DataFrame, names: Mapping[str, Iterable[int]] | None = None) -> set[int]:
    """Bring numbers, organisms' names and other `names` (lower case) to taxon numbers."""
    words = list(words)
    numbers = {taxon_of(word) for word in words if is_number(word)}
    unread = [str(word).strip() for word in words if not is_number(word)]
    if unread:
        by_name = {name: set(taxa) for name, taxa in (names or {}).items()}
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
