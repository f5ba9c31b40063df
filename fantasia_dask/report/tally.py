"""What the transferred terms add up to: the numbers behind a report, gathered block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from .histogram import Histogram

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "IDENTITY_BINS", "TWILIGHT", "Agreement", "SpaceTally", "Tally", "best_identity", "places_of"]

COLUMNS = (
    *("accession", "model_name", "layer_index", "distance", "go_id", "category", "go_description", "protein_id"),
    *("organism", "gene_name", "ref_idx", "reliability_index", "identity"),
    *("identity_sw", "alignment_length_sw"),
)
"""What is read of `schema.RAW_ANNOTATIONS`."""

IDENTITY_BINS = 20

TWILIGHT = 30
"""Identity, in percent, below which alignments no longer tell relatives from strangers (Rost 1999)."""

STRETCH = 80
"""Columns of a local alignment from which on `TWILIGHT` is the border; shorter ones must be more alike than that."""

ToSlim = Callable[[Iterable[str]], Mapping[str, Sequence[str]]]


@dataclass
class SpaceTally:
    """The distances of one embedding space.

    Attributes
    ----------
    donors : Histogram
        Of every donor that lent a term to a protein.
    nearest : Histogram
        Of each protein's nearest such donor, in columns of its identity to the protein, `IDENTITY_BINS` from 0 to 1
        and one for pairs that were not aligned.
    pairs : Histogram
        Of each pair of protein and term: the distance of the nearest donor that lent it.
    """

    donors: Histogram = field(default_factory=Histogram)
    nearest: Histogram = field(default_factory=lambda: Histogram(IDENTITY_BINS + 1))
    pairs: Histogram = field(default_factory=Histogram)


@dataclass
class Agreement:
    """Two embedding spaces compared, over the proteins annotated in both.

    Attributes
    ----------
    proteins : int
        Annotated in both spaces.
    same_donor : int
        With the same nearest donor.
    overlap : float
        Sum over these proteins of the Jaccard index of their two sets of terms: shared terms over all terms.
    """

    proteins: int = 0
    same_donor: int = 0
    overlap: float = 0.0


@dataclass
class Tally:
    """Numbers of all blocks added so far; nothing in it grows with the number of proteins.

    Attributes
    ----------
    spaces : list of (model, layer)
    to_slim : function, optional
        Maps GO ids to terms of a slim.
    by_space : list of SpaceTally
    agreements : dict of (i, j) to Agreement
        Places in `spaces`, i < j.
    support : int64 array, shape (number of spaces,)
        Pairs of protein and term that were found in 1, 2, ... spaces.
    aligned, unlike : int
        Proteins that were aligned with a nearest donor in at least one space; those of them whose most similar nearest
        donor is below `TWILIGHT`, by `best_identity`.
    organisms : Counter
        Nearest donors by species, over all proteins and spaces.
    proteins_of_term, proteins_of_slim : Counter
        Proteins by GO id.
    names, aspects : dict
        Name and category (BP, MF, CC) of each GO id.
    proteins_of_aspect, pairs_of_aspect : Counter
    terms_per_protein : Counter
        Proteins by their number of distinct terms.
    """

    spaces: list[tuple[str, int]]
    to_slim: ToSlim | None = None
    by_space: list[SpaceTally] = field(init=False)
    agreements: dict[tuple[int, int], Agreement] = field(init=False)
    support: np.ndarray = field(init=False)
    aligned: int = 0
    unlike: int = 0
    organisms: Counter[str] = field(default_factory=Counter)
    proteins_of_term: Counter[str] = field(default_factory=Counter)
    proteins_of_slim: Counter[str] = field(default_factory=Counter)
    proteins_of_aspect: Counter[str] = field(default_factory=Counter)
    pairs_of_aspect: Counter[str] = field(default_factory=Counter)
    terms_per_protein: Counter[int] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)
    aspects: dict[str, str] = field(default_factory=dict)
    _slim: dict[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_space = [SpaceTally() for _ in self.spaces]
        self.agreements = {pair: Agreement() for pair in combinations(range(len(self.spaces)), 2)}
        self.support = np.zeros(len(self.spaces), dtype=np.int64)

    def add(self, rows: pd.DataFrame) -> None:
        """Count one block: all rows of some proteins, `COLUMNS`, those of a space in order of protein and rank."""
        if not len(rows):
            return
        block = _Block(rows, self.spaces)
        self._add_distances(block)
        self._add_agreement(block)
        self._add_terms(block)

    def _add_distances(self, block: _Block) -> None:
        donors, nearest = block.first(block.space, block.protein, block.donor), block.nearest
        identity = block.identity[nearest]
        column = np.where(np.isnan(identity), IDENTITY_BINS, np.minimum(identity * IDENTITY_BINS, IDENTITY_BINS - 1))
        closest = np.full(block.proteins, np.nan)
        np.fmax.at(closest, block.protein[nearest], best_identity(block.rows.take(nearest)))
        self.aligned += int((~np.isnan(closest)).sum())
        self.unlike += int((closest < TWILIGHT / 100).sum())
        # The rows of a protein are in order of rank, so the first with a term is of the nearest donor with it.
        pairs = block.first(block.space, block.protein, block.term)
        for i, tally in enumerate(self.by_space):
            tally.donors.add(block.distance[donors[block.space[donors] == i]])
            here = block.space[nearest] == i
            tally.nearest.add(block.distance[nearest[here]], column[here].astype(np.int64))
            tally.pairs.add(block.distance[pairs[block.space[pairs] == i]])
        self.organisms.update(_counted(block.rows["organism"].take(nearest)))

    def _add_agreement(self, block: _Block) -> None:
        keys, places = [], []
        for i in range(len(self.spaces)):
            here = np.flatnonzero(block.space == i)
            keys.append(np.unique(block.protein[here] * len(block.go_ids) + block.term[here]))
            donor = np.full(block.proteins, -1)
            nearest = block.nearest[block.space[block.nearest] == i]
            donor[block.protein[nearest]] = block.donor[nearest]
            places.append(donor)
        n_terms = [np.bincount(key // len(block.go_ids), minlength=block.proteins) for key in keys]
        for (i, j), agreement in self.agreements.items():
            shared = np.intersect1d(keys[i], keys[j], assume_unique=True) // len(block.go_ids)
            both = (places[i] >= 0) & (places[j] >= 0)
            inside = np.bincount(shared, minlength=block.proteins)[both]
            agreement.proteins += int(both.sum())
            agreement.same_donor += int((places[i] == places[j])[both].sum())
            agreement.overlap += float((inside / (n_terms[i][both] + n_terms[j][both] - inside)).sum())
        _, found = np.unique(np.concatenate(keys), return_counts=True)
        self.support += np.bincount(found - 1, minlength=len(self.spaces))

    def _add_terms(self, block: _Block) -> None:
        pairs = block.first(block.protein, block.term)
        protein, term = block.protein[pairs], block.term[pairs]
        self.terms_per_protein.update(np.bincount(protein, minlength=block.proteins).tolist())
        counts = np.bincount(term, minlength=len(block.go_ids))
        firsts = block.first(block.term)
        columns = (block.rows[name].take(firsts).tolist() for name in ("go_id", "go_description", "category"))
        for go_id, name, aspect in zip(*columns, strict=True):
            self.names.setdefault(go_id, name)
            self.aspects.setdefault(go_id, aspect)
        self.proteins_of_term.update(dict(zip(block.go_ids, counts.tolist(), strict=True)))
        aspect = np.array([self.aspects[go_id] for go_id in block.go_ids], dtype=object)[term]
        for name in sorted(set(aspect.tolist())):
            here = aspect == name
            self.pairs_of_aspect[name] += int(here.sum())
            self.proteins_of_aspect[name] += len(np.unique(protein[here]))
        if self.to_slim is not None:
            self._add_slim(block.go_ids, protein, term)

    def _add_slim(self, go_ids: Sequence[str], protein: np.ndarray, term: np.ndarray) -> None:
        assert self.to_slim is not None
        self._slim |= self.to_slim([go_id for go_id in go_ids if go_id not in self._slim])
        targets = [self._slim[go_id] for go_id in go_ids]
        slims = sorted({slim for target in targets for slim in target})
        code = {slim: i for i, slim in enumerate(slims)}
        flat = np.array([code[slim] for target in targets for slim in target], dtype=np.int64)
        counts = np.array([len(target) for target in targets], dtype=np.int64)
        starts, repeats = np.cumsum(counts) - counts, counts[term]
        within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        mapped = flat[np.repeat(starts[term], repeats) + within]
        distinct = np.unique(np.repeat(protein, repeats) * max(len(slims), 1) + mapped)
        in_slim = np.bincount(distinct % max(len(slims), 1), minlength=len(slims))
        self.proteins_of_slim.update(dict(zip(slims, in_slim.tolist(), strict=False)))


class _Block:
    """The rows of some proteins in numbers."""

    def __init__(self, rows: pd.DataFrame, spaces: Sequence[tuple[str, int]]) -> None:
        import pandas as pd

        self.space = places_of(rows, spaces)
        self.rows = rows
        self.protein, names = pd.factorize(rows["accession"])
        self.protein = self.protein.astype(np.int64)
        self.proteins = len(names)
        term, go_ids = pd.factorize(rows["go_id"], sort=True)
        self.term, self.go_ids = term.astype(np.int64), [str(go_id) for go_id in go_ids]
        self.donor = rows["ref_idx"].to_numpy(dtype=np.int64)
        self.distance = rows["distance"].to_numpy(dtype="float64")
        self.identity = rows["identity"].to_numpy(dtype="float64")
        self.nearest = self.first(self.space, self.protein)

    def first(self, *codes: np.ndarray) -> np.ndarray:
        """Return the places of the first row of each combination, ascending."""
        key = np.zeros(len(self.rows), dtype=np.int64)
        for code in codes:
            key = key * (int(code.max()) + 1) + code
        _, places = np.unique(key, return_index=True)
        return np.sort(places)


def _counted(words: pd.Series) -> dict[str, int]:
    return {str(word): int(n) for word, n in words.value_counts().items()}


def best_identity(rows: pd.DataFrame) -> np.ndarray:
    """Return the identity by which two sequences are called relatives: the larger of the global and the local one.

    Relatives of unequal length, or that share one domain of several, are alike in a part only. A part counts from
    `STRETCH` columns on, where Rost's curve has come down to `TWILIGHT`.

    Parameters
    ----------
    rows : DataFrame
        Columns ``identity, identity_sw, alignment_length_sw`` of `schema.RAW_ANNOTATIONS`.

    Returns
    -------
    float64 array
        NaN where nothing was aligned.

    References
    ----------
    Rost (1999) Twilight zone of protein sequence alignments. Protein Engineering 12, 85.

    Examples
    --------
    >>> import pandas as pd
    >>> part = pd.DataFrame({"identity": 0.1, "identity_sw": 0.41, "alignment_length_sw": [79, 80]})
    >>> best_identity(part)
    array([0.1 , 0.41])
    """
    part = rows["identity_sw"].where(rows["alignment_length_sw"] >= STRETCH)
    return np.fmax(rows["identity"].to_numpy(dtype="float64"), part.to_numpy(dtype="float64"))


def places_of(rows: pd.DataFrame, spaces: Sequence[tuple[str, int]]) -> np.ndarray:
    """Return the place in `spaces` of each row's model and layer, int64."""
    import pandas as pd

    place = {space: i for i, space in enumerate(spaces)}
    model, models = pd.factorize(rows["model_name"])
    layer, layers = pd.factorize(rows["layer_index"])
    known = np.array([[place.get((str(m), int(n)), -1) for n in layers] for m in models], dtype=np.int64)
    known = known.reshape(len(models), len(layers))
    return known[model, layer]
