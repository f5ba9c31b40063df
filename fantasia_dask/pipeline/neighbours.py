"""The lookup of a run: which reference proteins may answer, and the neighbours of every query, on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import Config
from ..errors import InputError
from ..ledger import digest, open_ledger
from ..progress import Progress
from ..run_folder import RunFolder, write_parquet
from ..schema import HIT, HITS, NO_DONOR, PART_QUERIES, QUERIES, Space, names
from .job import Job
from .separation import Separation

if TYPE_CHECKING:
    import dask.array as da
    import pandas as pd
    from distributed import Client

    from ..lookup import LookupPlan
    from ..lookup.kernel import NonFiniteVectorError
    from ..sequences import Protein
    from ..store import EmbeddingStore

__all__ = ["look_up", "settings_of_hits", "write_donors", "write_queries"]

LOOKUP_VERSION = 1
"""Of what the lookup finds. Raise it by one with a change after which the same vectors and settings could give other
hits, so that runs that are taken up look up again; a lookup that is only faster keeps it."""

CLOSENESS_VERSION = 2
"""Of what redundancy_mode: identity takes for close; likewise, for the runs that ask for it."""

MOST_BYTES_AHEAD = 2**28
"""Of hits that are awaited at a time."""


def settings_of_hits(config: Config, model: str) -> dict[str, Any]:
    """Name what of a configuration, and of this release, shapes the hits of a model: plain JSON values by name."""
    return {
        "lookup_version": LOOKUP_VERSION,
        "distance_metric": config.embedding.distance_metric,
        "distance_threshold": config.embedding.models[model].distance_threshold,
        "limit_per_entry": config.limit_per_entry,
        "redundancy_filter": [config.redundancy_mode, config.redundancy_filter, config.alignment_coverage],
        **({"closeness_version": CLOSENESS_VERSION} if config.redundancy_mode == "identity" else {}),
    }


def write_queries(folder: RunFolder, store: EmbeddingStore, proteins: Sequence[Protein]) -> None:
    """Write the query table, which workers read their part of; headers are those of the proteins, where there are."""
    import pandas as pd

    sequences = store.sequences
    distinct: dict[Any, int] = {}
    # Proteins whose sequence is not known are all different.
    numbers = [distinct.setdefault(sequences[i] or i, len(distinct)) for i in range(len(sequences))]
    headers = {protein.accession: protein.description for protein in proteins}
    queries = pd.DataFrame(
        {
            "row": np.arange(len(store)),
            "accession": pd.Series(store.ids, dtype="str"),
            "length": store.lengths,
            "sequence": pd.Series(sequences, dtype="str"),
            "distinct": np.asarray(numbers, dtype="int64"),
            "description": pd.Series([headers.get(accession, "") for accession in store.ids], dtype="str"),
        }
    )
    write_parquet(queries[names(QUERIES)], folder.queries, PART_QUERIES)


def write_donors(job: Job, folder: RunFolder) -> None:
    """Note the reference proteins that passed the filters, for the workers that transfer their terms."""
    assert job.reference is not None
    assert job.allowed is not None
    write_parquet(job.reference.proteins.loc[job.allowed, ["protein"]], folder.donors)
    if job.own_terms is not None:
        annotations, terms, relations = job.own_terms
        write_parquet(annotations, folder.own_annotations)
        write_parquet(terms, folder.own_terms)
        write_parquet(relations, folder.own_relations)


def look_up(
    job: Job,
    folder: RunFolder,
    store: EmbeddingStore,
    space: Space,
    separation: Separation,
    client: Client,
    progress: Progress,
) -> None:
    """Find the neighbours of all queries in one embedding space, and write them: those that an earlier run did not."""
    lookup = _Lookup(job, store, space, separation, client)
    ledger = open_ledger(folder.hits(space.model, space.layer), lookup.made_from())
    if ledger.changed:
        progress.line(f"lookup in {space} {ledger.news}", "starts-anew", changed=ledger.changed)
    q, missing = len(store), ledger.missing(len(store))
    if missing:
        folder.clear_exports()  # they are of other hits
    with progress.stage(f"lookup in {space}", q, "queries") as advance:
        advance(q - sum(min(PART_QUERIES, q - part * PART_QUERIES) for part in missing))
        for start, hits in lookup.blocks(missing):
            for first in range(0, len(hits), PART_QUERIES):
                part = hits[first : first + PART_QUERIES]
                write_parquet(_hit_frame(part, start + first), ledger.part((start + first) // PART_QUERIES))
                advance(len(part))


class _Lookup:
    """The lookup in one embedding space, with every filter of the run."""

    def __init__(self, job: Job, store: EmbeddingStore, space: Space, separation: Separation, client: Client):
        from ..reference.taxonomy import donor_rows

        assert job.reference is not None
        assert job.allowed is not None
        self.config, self.reference, self.store, self.space = job.config, job.reference, store, space
        self.separation, self.client, self.k = separation, client, job.config.limit_per_entry
        self.asked = store.present(space.model, space.layer)
        self.keep = self.reference.store.present(space.model, space.layer) & donor_rows(
            self.reference.proteins, job.annotations, job.allowed, donors=job.config.donors
        )

    def made_from(self) -> dict[str, Any]:
        """Name everything that shapes the hits."""
        return {
            **settings_of_hits(self.config, self.space.model),
            "queries": self.store.fingerprint(self.space.model, self.space.layer),
            "reference": self.reference.fingerprint,
            "donors": digest(self.keep),
            "clusters": digest(*self.separation.labels) if self.separation.labels is not None else None,
            **({"sequences": digest(self.store.sequences.tolist())} if self.separation.is_close is not None else {}),
        }

    def blocks(self, parts: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the hits of some parts, each block with the row of its first query.

        Two blocks are on the cluster at a time, or as many as give every thread two tasks: no worker waits while an
        answer is written, and neither the graph nor what is held here grows with the number of queries.
        """
        from ..lookup.kernel import NonFiniteVectorError
        from ..lookup.separation import clean_neighbours

        close = self.separation.is_close
        plan = self._plan(len(parts) * PART_QUERIES, self.k)
        ranges = _ranges(parts, max(1, plan.query_rows // PART_QUERIES), len(self.store))
        ahead: deque[tuple[int, Any]] = deque()
        at_once = self._blocks_at_once(plan)
        try:
            if close is not None:
                for start, stop in ranges:
                    yield start, clean_neighbours(self, close, np.arange(start, stop), self.k)
                return
            for start, stop in ranges:
                hits = self._drawn(np.arange(start, stop), self.k, plan)
                ahead.append((start, self.client.compute(hits)))
                if len(ahead) == at_once:
                    yield _result(*ahead.popleft())
            while ahead:
                yield _result(*ahead.popleft())
        except NonFiniteVectorError as error:
            raise InputError(self._not_finite(error)) from error
        finally:
            self.client.cancel([future for _, future in ahead])  # nothing goes on computing on a cluster of others

    def __call__(self, rows: np.ndarray, k: int) -> np.ndarray:
        """Return the hits of some queries, shape (n, min(k, r)), dtype HIT."""
        hits: np.ndarray = self.client.compute(self._drawn(rows, k, self._plan(len(rows), k))).result()
        return hits

    def _plan(self, q: int, k: int) -> LookupPlan:
        """Cut queries and reference into blocks that fit the workers."""
        from ..lookup import plan_lookup

        space, reference = self.space, self.reference
        return plan_lookup(
            q,
            reference.rows,
            space.dimension,
            k=k,
            batch_size=self.config.batch_size,
            query_itemsize=np.dtype(space.dtype).itemsize,
            reference_itemsize=np.dtype(reference.store.space(space.model, space.layer).dtype).itemsize,
            budget=task_budget(self.client),
            threads=sum(self.client.nthreads().values()),
        )

    def _blocks_at_once(self, plan: LookupPlan) -> int:
        """Return how many blocks of queries are looked up at a time."""
        threads = sum(self.client.nthreads().values())
        wanted = -(-2 * threads // -(-self.reference.rows // plan.reference_rows))
        fit = MOST_BYTES_AHEAD // (plan.query_rows * self.k * HIT.itemsize)
        return max(2, min(wanted, fit))

    def _drawn(self, rows: np.ndarray, k: int, plan: LookupPlan) -> da.Array:
        """Draw the graph of some queries, in ascending order, as one block or several."""
        from ..lookup import nearest_neighbours

        space, config, labels = self.space, self.config, self.separation.labels
        return nearest_neighbours(
            self.store.pointers(space.model, space.layer, plan.query_rows, rows),
            self.reference.store.pointers(space.model, space.layer, plan.reference_rows),
            k=k,
            metric=config.embedding.distance_metric,
            threshold=config.embedding.models[space.model].distance_threshold,
            keep=self.keep,
            apart=None if labels is None else (labels[0][rows], labels[1]),
            asked=self.asked[rows],
            q_rows=rows,
            batch_size=plan.batch_size,
            device=config.embedding.device,
        )

    def _not_finite(self, error: NonFiniteVectorError) -> str:
        """Name the protein whose vector is damaged."""
        store = self.store if error.side == "query" else self.reference.store
        path = store.path if error.side == "query" else self.reference.path
        return (
            f"the vector of {store.ids[error.row]!r} ({path}, {self.space}, row {error.row}) holds NaN or infinity: "
            "expected numbers. Compute it again or leave the protein out."
        )


def _ranges(parts: Sequence[int], most: int, q: int) -> Iterator[tuple[int, int]]:
    """Put parts that follow one another together, `most` at a time: first row and row after the last.

    Examples
    --------
    >>> list(_ranges([0, 1, 2, 5], 2, 6000))
    [(0, 2048), (2048, 3072), (5120, 6000)]
    """
    for _, run in groupby(enumerate(parts), key=lambda pair: pair[1] - pair[0]):
        following = [part for _, part in run]
        for first in range(0, len(following), most):
            some = following[first : first + most]
            yield some[0] * PART_QUERIES, min(q, (some[-1] + 1) * PART_QUERIES)


def _result(start: int, future: Any) -> tuple[int, np.ndarray]:
    return start, future.result()


def task_budget(client: Client) -> int | None:
    """Return the bytes that one task may hold on the smallest worker, beside what every worker needs."""
    from ..lookup.memory import worker_budget

    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    budgets = [worker_budget(w["memory_limit"], w["nthreads"]) for w in workers if w["memory_limit"]]
    return min(budgets, default=None)


def _hit_frame(hits: np.ndarray, first: int) -> pd.DataFrame:
    """Turn HIT records into lines, leaving out "no donor"."""
    import pandas as pd

    query, rank = np.nonzero(hits["row"] != NO_DONOR)
    found = hits[query, rank]
    columns = (query + first, rank + 1, found["row"], found["distance"])
    return pd.DataFrame(dict(zip(names(HITS), columns, strict=True)))
