"""One embedding space of a run: vectors, distances, neighbours and transferred terms of one model and layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, did_you_mean
from ..run_folder import read_parquet
from ..schema import HITS, PART_QUERIES, RAW_ANNOTATIONS, Space, names

if TYPE_CHECKING:
    import dask.array as da
    import dask.dataframe as dd
    import pandas as pd

    from .run import OpenRun

__all__ = ["OpenSpace"]


class OpenSpace:
    """What a run computed with one model and layer, read when asked for. Made by `OpenRun`.

    Attributes
    ----------
    run : OpenRun
    space : Space
        Model, layer, dimension, profile and dtype.
    """

    def __init__(self, run: OpenRun, space: Space):
        self.run, self.space = run, space
        self.model, self.layer = space.model, space.layer

    def __str__(self) -> str:
        return str(self.space)

    def __repr__(self) -> str:
        return f"<OpenSpace {self} of {self.run.path}>"

    def _repr_html_(self) -> str:
        from .cards import space_card

        return space_card(self)

    @property
    def key(self) -> str:
        """Model and layer in one word, as columns of other tables are named."""
        return f"{self.model}_layer_{self.layer}"

    @property
    def metric(self) -> str:
        """The distance of the run: cosine or euclidean."""
        return self.run.config.embedding.distance_metric

    @property
    def looked_up(self) -> bool:
        """Whether there are neighbours: a run may embed only, or its reference lack this model and layer."""
        return bool(self._parts(self.run.folder.hits(self.model, self.layer)))

    @property
    def queries(self) -> da.Array:
        """The query vectors, shape (q, d); NaN where a protein has none."""
        return self.run.store.vectors(self.model, self.layer)

    @property
    def reference(self) -> da.Array:
        """The reference vectors, shape (r, d), in the order of `schema.PROTEINS`' rows."""
        return self.run.reference.vectors(self.model, self.layer)

    @property
    def hits(self) -> dd.DataFrame:
        """The neighbours, `schema.HITS`."""
        return self._frame(self.run.folder.hits(self.model, self.layer), HITS)

    @property
    def annotations(self) -> dd.DataFrame:
        """The transferred terms, `schema.RAW_ANNOTATIONS`."""
        return self._frame(self.run.folder.annotations_of(self.model, self.layer), RAW_ANNOTATIONS)

    def _frame(self, folder: Path, columns: Any) -> dd.DataFrame:
        from .frames import parquet_frame

        return parquet_frame(self._parts(folder), columns)

    @staticmethod
    def _parts(folder: Path) -> list[Path]:
        return sorted(folder.glob("part-*.parquet"))

    def distances(
        self,
        queries: Sequence[str | int] | None = None,
        donors: Sequence[str | int] | None = None,
        *,
        pairwise: bool = False,
    ) -> da.Array:
        """Return distances between queries and reference proteins: exact, made when computed, never all at once.

        Parameters
        ----------
        queries, donors : sequence of str or int, optional
            Accessions, or rows; by default all.
        pairwise : bool
            Whether the first query is compared with the first donor alone, the second with the second, and so on.

        Returns
        -------
        dask array, shape (queries, donors), or (pairs,), float64
            Equal to the distances in `hits`, bit for bit. NaN where one of the two has no vector: reduce with
            ``da.nanmin`` and its like.
        """
        from ..lookup import distances_between

        chosen_queries = self.queries if queries is None else self.queries[self.query_rows(queries)]
        chosen_donors = self.reference if donors is None else self.reference[self.donor_rows(donors)]
        return distances_between(chosen_queries, chosen_donors, metric=self.metric, pairwise=pairwise)

    def query_rows(self, queries: Sequence[str | int]) -> list[int]:
        """Return the rows of queries given by accession or by row."""
        return _rows(queries, self._query_row, len(self.run.store), "query")

    def donor_rows(self, donors: Sequence[str | int]) -> list[int]:
        """Return the rows of reference proteins given by accession or by row."""
        return _rows(donors, self._donor_row, self.run.reference.rows, "reference protein")

    @cached_property
    def _query_row(self) -> dict[str, int]:
        return {str(accession): row for row, accession in enumerate(self.run.store.ids)}

    @cached_property
    def _donor_row(self) -> dict[str, int]:
        proteins = self.run.reference.proteins
        return dict(zip(proteins["accession"], proteins["row"], strict=True))

    def neighbours(self, accession: str | int) -> pd.DataFrame:
        """Return the donors of one query, nearest first; only its part of the hits is read.

        Returns
        -------
        DataFrame
            Columns query, rank, row, distance, reliability, donor (accession), gene, organism. Of several reference
            proteins with the donor's sequence, the first is named.
        """
        row = self.query_rows([accession])[0]
        part = self.run.folder.hits(self.model, self.layer) / f"part-{row // PART_QUERIES:05d}.parquet"
        if not part.exists():
            raise InputError(f"{self} of {self.run.path} has no neighbours: it was not looked up, or not so far.")
        hits = read_parquet(part, names(HITS))
        return self._named(hits[hits["query"] == row])

    @property
    def nearest(self) -> pd.DataFrame:
        """The nearest donor of every query that has one; columns as in `neighbours`."""
        hits = self.hits
        return self._named(hits[hits["rank"] == 1].compute())

    def _named(self, hits: pd.DataFrame) -> pd.DataFrame:
        from ..annotate.transfer import reliability_index

        proteins = self.run.reference.proteins.drop_duplicates("row").set_index("row")
        donors = proteins.loc[hits["row"], ["accession", "gene", "organism"]].reset_index(drop=True)
        hits = hits.reset_index(drop=True)
        reliability = reliability_index(hits["distance"].to_numpy(), self.metric)
        return hits.assign(reliability=reliability).join(donors.rename(columns={"accession": "donor"}))

    def plot_neighbours(self, accession: str, ax: Any = None) -> Any:
        """Draw the donors of one protein by distance; as `plots.plot_neighbours`."""
        from .plots import plot_neighbours

        return plot_neighbours([self], accession, ax)

    def plot_map(self, ax: Any = None, *, most: int = 2000, seed: int = 0) -> Any:
        """Draw queries among their donors in a plane; as `plots.plot_map`."""
        from .plots import plot_map

        return plot_map(self, ax, most=most, seed=seed)


def _rows(given: Sequence[str | int], row_of: dict[str, int], n: int, what: str) -> list[int]:
    """Turn accessions and rows into rows."""
    if isinstance(given, str):
        raise InputError(f"{given!r} is one word: expected a list, such as [{given!r}].")
    found = []
    for name in given:
        row = row_of.get(name) if isinstance(name, str) else int(name)
        if row is None:
            raise InputError(f"there is no {what} {name!r}.{did_you_mean(str(name), row_of)}")
        if not 0 <= row < n:
            raise InputError(f"there is no {what} {row}: expected a row from 0 to {n - 1}.")
        found.append(row)
    return found


def sampled(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return at most so many of the rows, drawn without replacement, in order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
