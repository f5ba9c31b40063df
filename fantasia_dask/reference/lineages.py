"""The part of the NCBI taxonomy that a reference carries: its own taxa and their ancestors.

A few thousand taxa out of millions, so that filtering by clade needs no dump where the reference is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..schema import TAXONOMY, names
from .ncbi import lineages_from_dump, merged_taxa, open_dump

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MERGED", "Taxonomy", "taxonomy_table"]

MERGED = "merged"
"""The rank of a number that was merged into its parent."""


def taxonomy_table(dump: str | os.PathLike[str], taxa: Iterable[int]) -> pd.DataFrame:
    """Take the lineages of taxa out of an NCBI dump.

    Parameters
    ----------
    dump
        Folder with ``nodes.dmp``, ``names.dmp`` and, if numbers were merged, ``merged.dmp``; it is left as it is.
    taxa : iterable of int
        The taxa of a reference. Those that the dump does not know are left out.

    Returns
    -------
    DataFrame
        Columns of `schema.TAXONOMY`, by taxon: these taxa, all their ancestors, and all numbers merged into any of
        them.

    Raises
    ------
    InputError
        If the dump is incomplete or broken.
    """
    import pandas as pd

    database, merged = open_dump(Path(dump)), merged_taxa(dump)
    lineages = lineages_from_dump(dump, set(taxa) - {0})
    parents = database.taxid2parent
    tree = {taxon for lineage in lineages.values() for taxon in lineage if taxon in parents and taxon not in merged}
    above = {taxon: 0 if parents[taxon] == taxon else parents[taxon] for taxon in tree}
    lines = [(taxon, above[taxon], database.taxid2rank[taxon], database.taxid2name.get(taxon, "")) for taxon in tree]
    lines += [(old, new, MERGED, "") for old, new in merged.items() if new in tree]
    return pd.DataFrame(sorted(lines), columns=names(TAXONOMY))


@dataclass(frozen=True)
class Taxonomy:
    """Lineages, names and merged numbers, from a table that a reference carries.

    Attributes
    ----------
    parents : mapping of int to int
        The parent of each taxon; 0 above the root.
    merged : mapping of int to int
        Merged numbers, each with its new one.
    names : mapping of str to set of int
        Scientific names, lower case, with the taxa that bear them.

    Examples
    --------
    >>> taxonomy = Taxonomy({1: 0, 4751: 1, 4932: 4751}, {41870: 4932}, {"fungi": {4751}})
    >>> taxonomy.lineages[41870]
    (41870, 4932, 4751, 1)
    """

    parents: Mapping[int, int]
    merged: Mapping[int, int]
    names: Mapping[str, set[int]]

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Taxonomy:
        """Read columns of `schema.TAXONOMY`."""
        old = table["rank"] == MERGED
        merged, tree = table[old], table[~old]
        by_name: dict[str, set[int]] = {}
        for name, taxon in zip(tree["name"].str.lower(), tree["taxon"].tolist(), strict=True):
            by_name.setdefault(name, set()).add(taxon)
        by_name.pop("", None)
        return cls(
            dict(zip(tree["taxon"].tolist(), tree["parent"].tolist(), strict=True)),
            dict(zip(merged["taxon"].tolist(), merged["parent"].tolist(), strict=True)),
            by_name,
        )

    @property
    def taxa(self) -> set[int]:
        """The current numbers that it knows."""
        return set(self.parents)

    @cached_property
    def lineages(self) -> dict[int, tuple[int, ...]]:
        """For each taxon: itself, the number it was merged into if it was, and all its ancestors.

        Raises
        ------
        InputError
            If ancestors run in a circle.
        """
        return {taxon: self._lineage(taxon) for taxon in (*self.parents, *self.merged)}

    def _lineage(self, taxon: int) -> tuple[int, ...]:
        lineage = [taxon]
        above = self.merged.get(taxon) or self.parents.get(taxon, 0)
        while above:
            if above in lineage:
                raise InputError(
                    f"the taxonomy of the reference runs in a circle at taxon {above}: fetch or build the reference "
                    "again."
                )
            lineage.append(above)
            above = self.parents.get(above, 0)
        return tuple(lineage)
