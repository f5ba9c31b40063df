"""The GO graph: what a term implies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IMPLYING", "Ontology"]

IMPLYING = ("is_a", "part_of")
"""Relations along which an annotation holds for the parent too."""

STEP_ROWS = 200_000
"""Scores that `Ontology.propagate_table` takes to the ancestors at a time."""


class Ontology:
    """A graph of GO terms, and the ancestors of each.

    Parameters
    ----------
    terms : DataFrame, `schema.TERMS`
        Current terms become the nodes; obsolete and alternative ids are known to `current`.
    relations : DataFrame, `schema.RELATIONS`
        Edges; those to or from ids that are not current are left out.
    along : collection of str
        Relations that are followed.
    within_aspect : bool
        Whether to follow only edges between terms of one aspect, as CAFA does. By default a function that is part of
        a process implies the process.

    Raises
    ------
    InputError
        If the relations followed form a circle.

    Examples
    --------
    >>> import pandas as pd
    >>> terms = pd.DataFrame({"go_id": ["GO:1", "GO:2", "GO:3"], "aspect": "P", "obsolete": False, "replaced_by": ""})
    >>> relations = pd.DataFrame(
    ...     {"child": ["GO:3", "GO:2"], "relation": ["part_of", "is_a"], "parent": ["GO:2", "GO:1"]}
    ... )
    >>> ontology = Ontology(terms, relations)
    >>> ontology.ancestors("GO:3"), ontology.depth("GO:3")
    (['GO:1', 'GO:2'], 2)
    >>> ontology.propagate({"GO:3": 0.4, "GO:2": 0.1})
    {'GO:1': 0.4, 'GO:2': 0.4, 'GO:3': 0.4}
    """

    def __init__(
        self,
        terms: pd.DataFrame,
        relations: pd.DataFrame,
        *,
        along: Collection[str] = IMPLYING,
        within_aspect: bool = False,
    ) -> None:
        import pandas as pd

        replaced = terms["replaced_by"] != ""
        self._replaced_by = dict(zip(terms["go_id"][replaced], terms["replaced_by"][replaced], strict=True))
        current = terms[~terms["obsolete"].astype(bool) & ~replaced].sort_values("go_id")
        self.go_ids: np.ndarray = current["go_id"].to_numpy(dtype=object)
        self.aspects: np.ndarray = current["aspect"].to_numpy(dtype=object)
        self._index = pd.Index(self.go_ids)
        followed = relations[relations["relation"].isin(list(along))]
        child = self._index.get_indexer(followed["child"])
        parent = self._index.get_indexer(followed["parent"])
        kept = (child >= 0) & (parent >= 0)
        if within_aspect:
            kept &= self.aspects[child] == self.aspects[parent]
        self._parents: list[list[int]] = [[] for _ in self.go_ids]
        for lower, upper in zip(child[kept].tolist(), parent[kept].tolist(), strict=True):
            self._parents[lower].append(upper)
        self._order = self._roots_first()

    def __len__(self) -> int:
        return len(self.go_ids)

    def __contains__(self, go_id: object) -> bool:
        return go_id in self._index

    def __repr__(self) -> str:
        return f"<Ontology of {len(self)} terms, {sum(map(len, self._parents))} relations>"

    def _roots_first(self) -> list[int]:
        try:
            return list(TopologicalSorter(dict(enumerate(self._parents))).static_order())
        except CycleError as error:
            circle = " -> ".join(self.go_ids[i] for i in error.args[1])
            raise InputError(
                f"the GO relations form a circle ({circle}): expected a release without one. Use go-basic.obo."
            ) from error

    @cached_property
    def closure(self) -> tuple[np.ndarray, np.ndarray]:
        """All ancestors of all terms, each term among its own.

        Returns
        -------
        starts : int64 array, shape (n + 1,)
        ancestors : int64 array
            Those of term i, ascending, are ``ancestors[starts[i]:starts[i + 1]]``; numbers are places in `go_ids`.
        """
        above: list[set[int]] = [set() for _ in self.go_ids]
        for i in self._order:
            above[i] = {i}.union(*(above[parent] for parent in self._parents[i]))
        starts = np.cumsum([0, *map(len, above)], dtype=np.int64)
        flat = np.fromiter((j for group in above for j in sorted(group)), np.int64, starts[-1])
        return starts, flat

    @cached_property
    def depths(self) -> np.ndarray:
        """The longest way to a root for each term of `go_ids`, in edges; shape (n,), int64."""
        depths = [0] * len(self)
        for i in self._order:
            depths[i] = max((depths[parent] + 1 for parent in self._parents[i]), default=0)
        return np.array(depths, dtype=np.int64)

    def places(self, go_ids: Collection[str]) -> np.ndarray:
        """Return where ids stand in `go_ids`, int64; -1 for those that are not current."""
        return np.asarray(self._index.get_indexer(list(go_ids)), dtype=np.int64)

    def _place(self, go_id: str) -> int:
        place = int(self.places([go_id])[0])
        if place < 0:
            raise KeyError(go_id)
        return place

    def _above(self, place: int) -> np.ndarray:
        """Return the places of a term and all that it implies, ascending."""
        starts, flat = self.closure
        return flat[starts[place] : starts[place + 1]]

    def ancestors(self, go_id: str) -> list[str]:
        """Return the terms that a term implies, itself apart, in order of id; `KeyError` if it is not current."""
        place = self._place(go_id)
        return [self.go_ids[i] for i in self._above(place).tolist() if i != place]

    def implications(self, go_ids: Iterable[str]) -> list[list[str]]:
        """Return all that each term implies, itself among it, in order of id; an id that is not current alone."""
        words = list(go_ids)
        return [
            self.go_ids[self._above(place)].tolist() if place >= 0 else [word]
            for word, place in zip(words, self.places(words).tolist(), strict=True)
        ]

    def depth(self, go_id: str) -> int:
        """Return the longest way from a term to a root, in edges; `KeyError` if it is not current."""
        return int(self.depths[self._place(go_id)])

    def current(self, go_id: str) -> str | None:
        """Return the term that an id stands for today, or None."""
        seen = set()
        while go_id not in self and go_id in self._replaced_by and go_id not in seen:
            seen.add(go_id)
            go_id = self._replaced_by[go_id]
        return go_id if go_id in self else None

    def slim(self, go_ids: Iterable[str], slim: Collection[str], *, implied: bool = False) -> dict[str, list[str]]:
        """Map terms to the terms of a slim: the closest of them at or above each, in every direction.

        A slim term that another one of the answer implies is left out, so that a term stands for no more than it has
        to: the *direct* mapping of map2slim. With `implied` all are there, as a count of what has a slim term needs.

        Parameters
        ----------
        go_ids : iterable of str
            Terms to map; obsolete and alternative ids are mapped as the terms that took their place.
        slim : collection of str
            Terms of the slim; brought to current terms too, and left out where there is none.
        implied : bool
            Whether slim terms above others of the answer stay.

        Returns
        -------
        dict of str to list of str
            For each id given, its slim terms in order of id; an empty list for an id without a current term, and where
            nothing of the slim is above it.

        Examples
        --------
        >>> import pandas as pd
        >>> ids = ["GO:1", "GO:2", "GO:3"]
        >>> terms = pd.DataFrame({"go_id": ids, "aspect": "P", "obsolete": False, "replaced_by": ""})
        >>> relations = pd.DataFrame({"child": ["GO:3", "GO:2"], "relation": "is_a", "parent": ["GO:2", "GO:1"]})
        >>> Ontology(terms, relations).slim(["GO:3", "GO:1", "GO:9"], ["GO:1", "GO:2"])
        {'GO:3': ['GO:2'], 'GO:1': ['GO:1'], 'GO:9': []}
        >>> Ontology(terms, relations).slim(["GO:3"], ["GO:1", "GO:2"], implied=True)
        {'GO:3': ['GO:1', 'GO:2']}
        """
        members = np.zeros(len(self), dtype=bool)
        members[self.places([term for go_id in slim if (term := self.current(go_id)) is not None])] = True

        def chosen(place: int) -> list[int]:
            all_above = self._above(place)
            return all_above[members[all_above]].tolist()

        above = {place: set(chosen(place)) - {place} for place in np.flatnonzero(members).tolist()}
        mapped: dict[str, list[str]] = {}
        for go_id in dict.fromkeys(go_ids):
            term = self.current(go_id)
            found = [] if term is None else chosen(self._place(term))
            further = set() if implied else set().union(*(above[place] for place in found))
            mapped[go_id] = [self.go_ids[place] for place in found if place not in further]
        return mapped

    def information_content(self, annotations: pd.DataFrame) -> np.ndarray:
        """Tell how much each term says of a protein, given how many proteins of a reference have it.

        Parameters
        ----------
        annotations : DataFrame, `schema.ANNOTATIONS`
            Columns ``protein`` and ``go_id`` are read; ids that are not current are left out.

        Returns
        -------
        float64 array, shape (n,)
            In the order of `go_ids`, in bits: -log2 of the share of proteins that have the term, themselves or by
            implication, among those with any term of its aspect. 0 at a root, NaN where no protein has the term.

        References
        ----------
        Resnik (1995) Using information content to evaluate semantic similarity in a taxonomy. IJCAI-95, 448.

        Examples
        --------
        >>> import pandas as pd
        >>> ids = ["GO:1", "GO:2", "GO:3"]
        >>> terms = pd.DataFrame({"go_id": ids, "aspect": "P", "obsolete": False, "replaced_by": ""})
        >>> relations = pd.DataFrame({"child": ["GO:3", "GO:2"], "relation": "is_a", "parent": ["GO:1", "GO:1"]})
        >>> annotations = pd.DataFrame({"protein": [0, 1, 2, 3], "go_id": ["GO:2", "GO:2", "GO:1", "GO:1"]})
        >>> Ontology(terms, relations).information_content(annotations)
        array([ 0.,  1., nan])
        """
        import pandas as pd

        wide, carried = self._carried(annotations)
        proteins = np.bincount(carried, minlength=len(self)).astype("float64")
        aspects = pd.DataFrame({"accession": wide["accession"].to_numpy(), "aspect": self.aspects[carried]})
        of_aspect = aspects.drop_duplicates()["aspect"].value_counts()
        total = pd.Series(self.aspects, dtype="str").map(of_aspect).to_numpy(dtype="float64", na_value=np.nan)
        proteins[proteins == 0] = np.nan
        return np.asarray(np.log2(total) - np.log2(proteins))

    def proteins_with(self, annotations: pd.DataFrame) -> np.ndarray:
        """Count the proteins of a reference that have each term, themselves or by implication.

        Unlike `information_content`, it compares terms of different aspects: a component that 9 of 10 proteins with any
        component have says less than a process that 9 of 1,000 with any process have, but as many proteins have both.

        Parameters
        ----------
        annotations
            As for `information_content`.

        Returns
        -------
        int64 array, shape (n,)
            In the order of `go_ids`.
        """
        return np.bincount(self._carried(annotations)[1], minlength=len(self)).astype(np.int64)

    def _carried(self, annotations: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        """Return each protein with all that it has or implies, and the places of these terms."""
        pairs = annotations[["protein", "go_id"]].drop_duplicates()
        wide = self.propagate_table(pairs.rename(columns={"protein": "accession"}).assign(score=1.0))
        return wide, self.places(wide["go_id"])

    def propagate(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Give every ancestor the largest score of its descendants.

        Parameters
        ----------
        scores : mapping of GO id to score
            Ids that are not current are left out.

        Returns
        -------
        dict of GO id to score
            The terms and all that they imply, in order of id.
        """
        import pandas as pd

        table = pd.DataFrame({"accession": "", "go_id": list(scores), "score": list(scores.values())})
        wide = self.propagate_table(table)
        return dict(zip(wide["go_id"], wide["score"].tolist(), strict=True))

    def propagate_table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Give every ancestor the largest score of its descendants, protein by protein.

        Parameters
        ----------
        table : DataFrame
            Columns ``accession, go_id, score``, in any order; ids that are not current are left out.

        Returns
        -------
        DataFrame
            The same columns, one line per protein and term, terms and all that they imply; proteins in order of
            appearance, terms in order of id.
        """
        import pandas as pd

        code, accessions = pd.factorize(table["accession"])
        term = self.places(table["go_id"])
        known = term >= 0
        keys, best = self._largest(code[known], term[known], table["score"].to_numpy(dtype="float64")[known])
        return pd.DataFrame(
            {
                "accession": pd.Series(accessions, dtype="str").take(keys // max(len(self), 1)).array,
                "go_id": pd.Series(self.go_ids, dtype="str").take(keys % max(len(self), 1)).array,
                "score": best,
            }
        )

    def _largest(self, protein: np.ndarray, term: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return key = protein * n + ancestor, ascending, and the largest score of each."""
        keys, best = np.empty(0, np.int64), np.empty(0)
        order = np.argsort(protein, kind="stable")
        parts = [(keys, best)]
        for start in range(0, len(order), STEP_ROWS):
            part = order[start : start + STEP_ROWS]
            parts.append(self._step(protein[part], term[part], score[part]))
        # A protein that two steps share comes twice.
        return _maxima(np.concatenate([key for key, _ in parts]), np.concatenate([value for _, value in parts]))

    def _step(self, protein: np.ndarray, term: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts, flat = self.closure
        count = starts[term + 1] - starts[term]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        ancestor = flat[np.repeat(starts[term], count) + within]
        return _maxima(np.repeat(protein, count).astype(np.int64) * len(self) + ancestor, np.repeat(score, count))


def _maxima(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct keys, ascending, and the largest value of each."""
    if not len(keys):
        return keys, values
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[first], np.maximum.reduceat(values, first)
