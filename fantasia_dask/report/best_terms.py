"""The best term of each protein and aspect: what the table of a report lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schema import ASPECTS
from .tally import places_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BestTerms"]


class BestTerms:
    """The best term of the first proteins of a run, for each aspect.

    Distances of different embedding spaces do not compare, so none decides. The best term is one that the nearest
    donor lends, in whichever space; among those, one that the most spaces found at all; among those, which are mostly
    the terms of one donor, the one that says most: with the largest information content in the reference. What is then
    still equal is decided by the GO id, and the donor that is named by the order of the spaces.

    Parameters
    ----------
    accessions : sequence of str
        The proteins that are listed; others are passed over.
    spaces : sequence of (model, layer)
    information : mapping of GO id to float
        Information content; a term that is not listed counts as 0.
    """

    def __init__(
        self, accessions: Sequence[str], spaces: Sequence[tuple[str, int]], information: Mapping[str, float]
    ) -> None:
        import pandas as pd

        self._index = pd.Index(accessions, dtype="str")
        self._spaces = list(spaces)
        self._information = information
        self._terms: dict[str, int] = {}
        self._donors: dict[tuple[str, str, str], int] = {}
        self._found: dict[str, list[dict[str, Any]]] = {aspect: [] for aspect in ASPECTS.values()}
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
        says = np.array([self._information.get(go_id, 0.0) for go_id in go_ids])[term]
        rank = _ranks(protein, space, rows["ref_idx"].to_numpy())
        order = np.lexsort((space, term, -says, -_distinct(pair, space), rank, protein))
        category = rows["category"].to_numpy(dtype=object)[order]
        for aspect, found in self._found.items():
            here = order[category == aspect]
            chosen = here[np.unique(protein[here], return_index=True)[1]]
            if len(chosen):
                found.append(self._described(rows.take(chosen), protein[chosen]))
        first = order[np.unique(protein[order], return_index=True)[1]]
        self.aspect[protein[first]] = rows["category"].to_numpy(dtype=object)[first]

    def _described(self, rows: pd.DataFrame, protein: np.ndarray) -> dict[str, Any]:
        named = zip(*(rows[name].tolist() for name in ("go_id", "go_description", "category")), strict=True)
        lenders = zip(*(rows[name].tolist() for name in ("protein_id", "gene_name", "organism")), strict=True)
        spaces = zip(rows["model_name"].tolist(), rows["layer_index"].tolist(), strict=True)
        return {
            "protein": protein.tolist(),
            "term": [self._terms.setdefault(term, len(self._terms)) for term in named],
            "donor": [self._donors.setdefault(donor, len(self._donors)) for donor in lenders],
            "space": [self._spaces.index(space) for space in spaces],
            "reliability": [round(value, 4) for value in rows["reliability_index"].tolist()],
            "identity": [round(value, 3) if value == value else None for value in rows["identity"].tolist()],
        }

    def columns(self) -> dict[str, Any]:
        """Return what was found as plain columns, words once each.

        Returns
        -------
        dict
            ``aspect``: of the best of all terms of each protein, empty where there is none; ``terms``: ids and names;
            ``donors``: accessions, genes and places in ``organisms``; ``best``: for each
            aspect columns of equal length, ``protein`` (place in the accessions), ``term``, ``donor``, ``space``
            (places), ``reliability`` and ``identity`` (None where nothing was aligned).
        """
        organisms: dict[str, int] = {}
        donors = [
            (accession, gene, organisms.setdefault(organism, len(organisms)))
            for accession, gene, organism in self._donors
        ]
        names = ("protein", "term", "donor", "space", "reliability", "identity")
        return {
            "aspect": self.aspect.tolist(),
            "terms": {"id": [term[0] for term in self._terms], "name": [term[1] for term in self._terms]},
            "donors": {key: [donor[i] for donor in donors] for i, key in enumerate(("accession", "gene", "organism"))},
            "organisms": list(organisms),
            "best": {
                aspect: {name: [value for block in found for value in block[name]] for name in names}
                for aspect, found in self._found.items()
            },
        }


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
