"""The best term of each protein and aspect: what the table of a report lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schema import ASPECTS
from .tally import TWILIGHT, best_identity, places_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BestTerms"]


class BestTerms:
    """The best term of the first proteins of a run, for each aspect.

    Distances of different embedding spaces do not compare, so none decides. The best term is one that the nearest
    donor lends, in whichever space; among those, one that the most spaces found at all; among those, which are mostly
    the terms of one donor, the most specific, which the fewest proteins of the reference have. What is then still equal
    is decided by the GO id, and the donor that is named by the order of the spaces.

    Parameters
    ----------
    accessions : sequence of str
        The proteins that are listed; others are passed over.
    spaces : sequence of (model, layer)
    proteins_with : mapping of GO id to int
        Proteins of the reference that have a term, themselves or by implication; a term that is not listed comes last.
    """

    def __init__(
        self, accessions: Sequence[str], spaces: Sequence[tuple[str, int]], proteins_with: Mapping[str, int]
    ) -> None:
        import pandas as pd

        self._index = pd.Index(list(accessions), dtype="str")
        self._spaces = list(spaces)
        self._proteins_with = proteins_with
        self._terms: dict[tuple[Any, ...], int] = {}
        self._donors: dict[tuple[Any, ...], int] = {}
        self._pairs: dict[tuple[Any, ...], int] = {}
        nothing = np.full(len(self._index), -1, dtype=np.int64)
        self._best = {aspect: {"term": nothing.copy(), "pair": nothing.copy()} for aspect in ASPECTS.values()}
        self.terms = np.zeros(len(self._index), dtype=np.int64)
        self.aspect = np.full(len(self._index), "", dtype=object)

    def add(self, rows: pd.DataFrame) -> None:
        """Take in one block: all rows of some proteins."""
        import pandas as pd

        protein = self._index.get_indexer(pd.Index(rows["accession"]))
        rows, protein = rows[protein >= 0], protein[protein >= 0]
        if not len(rows):
            return
        term, go_ids = pd.factorize(rows["go_id"], sort=True)
        space = places_of(rows, self._spaces)
        pair = protein * len(go_ids) + term
        self.terms += np.bincount(np.unique(pair) // len(go_ids), minlength=len(self.terms))
        commonness = np.array([self._proteins_with.get(go_id, np.inf) for go_id in go_ids])[term]
        rank = _ranks(protein, space, rows["ref_idx"].to_numpy())
        order = np.lexsort((space, term, commonness, -_distinct(pair, space), rank, protein))
        category = rows["category"].to_numpy(dtype=object)[order]
        for aspect, best in self._best.items():
            here = order[category == aspect]
            chosen = here[np.unique(protein[here], return_index=True)[1]]
            best["term"][protein[chosen]], best["pair"][protein[chosen]] = self._places(rows.take(chosen))
        first = order[np.unique(protein[order], return_index=True)[1]]
        self.aspect[protein[first]] = rows["category"].to_numpy(dtype=object)[first]

    def _places(self, rows: pd.DataFrame) -> tuple[list[int], list[int]]:
        """Return the places of the terms and of the pairs of query and donor, numbering new ones."""

        def lines(*names: str) -> Iterator[tuple[Any, ...]]:
            return zip(*(rows[name].tolist() for name in names), strict=True)

        terms = [self._terms.setdefault(term, len(self._terms)) for term in lines("go_id", "go_description")]
        donors = (
            self._donors.setdefault(donor, len(self._donors)) for donor in lines("protein_id", "gene_name", "organism")
        )
        spaces = places_of(rows, self._spaces).tolist()
        reliability = (round(1e4 * value) for value in rows["reliability_index"].tolist())
        identity, alike = (map(_thousandths, found.tolist()) for found in (rows["identity"], best_identity(rows)))
        pairs = zip(donors, spaces, reliability, identity, alike, strict=True)
        return terms, [self._pairs.setdefault(pair, len(self._pairs)) for pair in pairs]

    def columns(self) -> dict[str, Any]:
        """Return what was found as plain columns, words once each.

        Returns
        -------
        dict
            ``aspect``: of the best of all terms of each protein, empty where there is none; ``best``: for each aspect
            the places of each protein's best ``term`` and ``pair``, -1 where there is none; ``terms``: ids and names;
            ``pairs``: ``donor`` and ``space`` (places), ``reliability`` in 1/10,000, and in 1/1,000 ``identity``, the
            global one, and ``alike``, see `best_identity` (None where nothing was aligned); ``donors``: accessions,
            genes and places in ``organisms``.
        """
        organisms: dict[str, int] = {}
        donors = [
            (accession, gene, organisms.setdefault(organism, len(organisms)))
            for accession, gene, organism in self._donors
        ]
        return {
            "aspect": self.aspect.tolist(),
            "best": {
                aspect: {name: places.tolist() for name, places in best.items()} for aspect, best in self._best.items()
            },
            "terms": _columns(self._terms, ("id", "name")),
            "pairs": _columns(self._pairs, ("donor", "space", "reliability", "identity", "alike")),
            "donors": _columns(donors, ("accession", "gene", "organism")),
            "organisms": list(organisms),
        }


def _thousandths(identity: float) -> int | None:
    """Return an identity in 1/1,000, rounded, but not from below 30% to 30%; None where nothing was aligned.

    Examples
    --------
    >>> _thousandths(0.29997), _thousandths(0.3), _thousandths(float("nan"))
    (299, 300, None)
    """
    if identity != identity:
        return None
    rounded = round(1e3 * identity)
    return rounded if identity >= TWILIGHT / 100 else min(rounded, 10 * TWILIGHT - 1)


def _columns(lines: Iterable[tuple[Any, ...]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Turn lines into columns."""
    columns = list(zip(*lines, strict=True)) or [()] * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def _ranks(protein: np.ndarray, space: np.ndarray, donor: np.ndarray) -> np.ndarray:
    """Number the donors of each protein and space from 0; rows are in order of space, protein and rank."""
    new_group = np.r_[True, (protein[1:] != protein[:-1]) | (space[1:] != space[:-1])]
    new_donor = np.cumsum(new_group | np.r_[True, donor[1:] != donor[:-1]])
    return new_donor - new_donor[np.flatnonzero(new_group)][np.cumsum(new_group) - 1]


def _distinct(key: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Return for each row in how many spaces its key occurs."""
    _, place = np.unique(key, return_inverse=True)
    pairs = np.unique(place * (int(space.max()) + 1) + space) // (int(space.max()) + 1)
    return np.bincount(pairs)[place]
