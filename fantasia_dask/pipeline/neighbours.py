"""The lookup of a run: which reference proteins may answer, and the neighbours of every query, on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..progress import Progress
from ..run_folder import RunFolder, write_parquet
from ..schema import HITS, NO_DONOR, QUERIES, Space, names
from .job import Job
from .separation import Separation

if TYPE_CHECKING:
    import dask.array as da
    import pandas as pd
    from distributed import Client

    from ..lookup.kernel import NonFiniteVectorError
    from ..store import EmbeddingStore

__all__ = ["look_up", "write_donors", "write_queries"]


def write_queries(folder: RunFolder, store: EmbeddingStore) -> None:
    """Write the query table, which workers read their part of."""
    import pandas as pd

    sequences = store.sequences
    distinct: dict[Any, int] = {}
    # Proteins whose sequence is not known are all different.
    numbers = [distinct.setdefault(sequences[i] or i, len(distinct)) for i in range(len(sequences))]
    queries = pd.DataFrame(
        {
            "row": np.arange(len(store)),
            "accession": pd.Series(store.ids, dtype="str"),
            "length": store.lengths,
            "sequence": pd.Series(sequences, dtype="str"),
            "distinct": np.asarray(numbers, dtype="int64"),
        }
    )
    write_parquet(queries[names(QUERIES)], folder.queries)


def write_donors(job: Job, folder: RunFolder) -> None:
    """Note the reference proteins that passed the filters, for the workers that transfer their terms."""
    assert job.reference is not None
    assert job.allowed is not None
    write_parquet(job.reference.proteins.loc[job.allowed, ["protein"]], folder.donors)
    if job.newer_terms is not None:
        annotations, terms = job.newer_terms
        write_parquet(annotations, folder.newer_annotations)
        write_parquet(terms, folder.newer_terms)


def look_up(
    job: Job,
    folder: RunFolder,
    store: EmbeddingStore,
    space: Space,
    separation: Separation,
    client: Client,
    progress: Progress,
) -> None:
    """Find the neighbours of all queries in one embedding space, and write them."""
    import pandas as pd

    from ..lookup.separation import clean_neighbours

    k, everyone = job.config.limit_per_entry, np.arange(len(store))
    lookup = _Lookup(job, store, space, separation, client)
    with progress.stage(f"lookup in {space}", len(store), "queries") as advance:
        if separation.is_close is None:
            frames = [_hit_frame(hits, first) for first, hits in lookup.blocks(everyone, k, advance)]
        else:
            frames = [_hit_frame(clean_neighbours(lookup, separation.is_close, len(store), k), 0)]
            advance(len(store))
    write_parquet(pd.concat(frames, ignore_index=True), folder.hits(space.model, space.layer))


class _Lookup:
    """The lookup in one embedding space, with every filter of the run: rows of queries and k to hits."""

    def __init__(self, job: Job, store: EmbeddingStore, space: Space, separation: Separation, client: Client):
        from ..reference.taxonomy import donor_rows

        assert job.reference is not None
        assert job.allowed is not None
        self.config, self.reference, self.store, self.space = job.config, job.reference, store, space
        self.labels, self.client = separation.labels, client
        self.asked = store.present(space.model, space.layer)
        self.keep = self.reference.store.present(space.model, space.layer) & donor_rows(
            self.reference.proteins, job.annotations, job.allowed, donors=job.config.donors
        )

    def __call__(self, rows: np.ndarray, k: int) -> np.ndarray:
        """Return the hits of some queries, shape (n, min(k, r)), dtype HIT."""
        return np.concatenate([hits for _, hits in self.blocks(rows, k)])

    def blocks(
        self, rows: np.ndarray, k: int, advance: Callable[[int], None] = lambda done: None
    ) -> list[tuple[int, np.ndarray]]:
        """Return the hits of some queries block by block, each with the place of its first query, in order."""
        from distributed import as_completed

        from ..lookup.kernel import NonFiniteVectorError

        hits = self._drawn(rows, k)
        starts = np.cumsum([0, *hits.chunks[0]]).tolist()
        futures = dict(
            zip(self.client.compute([hits.blocks[i] for i in range(hits.numblocks[0])]), starts, strict=False)
        )
        found = []
        try:
            for future in as_completed(list(futures)):
                found.append((futures[future], future.result()))
                advance(len(found[-1][1]))
        except NonFiniteVectorError as error:
            raise InputError(self._not_finite(error, rows)) from error
        finally:
            self.client.cancel(list(futures))
        return sorted(found, key=lambda block: block[0])

    def _drawn(self, rows: np.ndarray, k: int) -> da.Array:
        """Draw the graph: blocks that fit the workers, and the filters of these queries."""
        from ..lookup import nearest_neighbours, plan_lookup

        space, config, reference = self.space, self.config, self.reference
        plan = plan_lookup(
            len(rows),
            reference.rows,
            space.dimension,
            k=k,
            batch_size=config.batch_size,
            query_itemsize=np.dtype(space.dtype).itemsize,
            reference_itemsize=np.dtype(reference.store.space(space.model, space.layer).dtype).itemsize,
            budget=_task_budget(self.client),
            threads=sum(self.client.nthreads().values()),
        )
        queries = self.store.vectors(space.model, space.layer, plan.query_rows)
        if len(rows) < len(self.store):
            queries = queries[rows].rechunk({0: plan.query_rows})
        return nearest_neighbours(
            queries,
            reference.vectors(space.model, space.layer, plan.reference_rows),
            k=k,
            metric=config.embedding.distance_metric,
            threshold=config.embedding.models[space.model].distance_threshold,
            keep=self.keep,
            apart=None if self.labels is None else (self.labels[0][rows], self.labels[1]),
            asked=self.asked[rows],
            batch_size=plan.batch_size,
        )

    def _not_finite(self, error: NonFiniteVectorError, rows: np.ndarray) -> str:
        """Name the protein whose vector is damaged."""
        store = self.store if error.side == "query" else self.reference.store
        path = store.path if error.side == "query" else self.reference.path
        row = int(rows[error.row]) if error.side == "query" else error.row
        return (
            f"the vector of {store.ids[row]!r} ({path}, {self.space}, row {row}) holds NaN or infinity: "
            "expected numbers. Compute it again or leave the protein out."
        )


def _task_budget(client: Client) -> int | None:
    """Return the bytes that one task may hold on the smallest worker, with room left for everything else."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [w["memory_limit"] / max(1, w["nthreads"]) for w in workers if w["memory_limit"]]
    return int(min(limits) * 0.6) if limits else None


def _hit_frame(hits: np.ndarray, first: int) -> pd.DataFrame:
    """Turn HIT records into lines, leaving out "no donor"."""
    import pandas as pd

    query, rank = np.nonzero(hits["row"] != NO_DONOR)
    found = hits[query, rank]
    columns = (query + first, rank + 1, found["row"], found["distance"])
    return pd.DataFrame(dict(zip(names(HITS), columns, strict=True)))
