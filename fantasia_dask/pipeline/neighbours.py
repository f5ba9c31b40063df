"""The lookup of a run: which reference proteins may answer, and the neighbours of every query, on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..progress import Progress
from ..run_folder import RunFolder, write_parquet
from ..schema import HITS, NO_DONOR, QUERIES, Space, names
from .job import Job

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

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
    job: Job, folder: RunFolder, store: EmbeddingStore, space: Space, client: Client, progress: Progress
) -> None:
    """Find the neighbours of all queries in one embedding space, and write them."""
    import pandas as pd
    from distributed import as_completed

    from ..lookup import nearest_neighbours, plan_lookup
    from ..lookup.kernel import NonFiniteVectorError
    from ..reference.taxonomy import donor_rows

    reference, config = job.reference, job.config
    assert reference is not None
    assert job.allowed is not None
    there = reference.store.space(space.model, space.layer)
    threads = sum(client.nthreads().values())
    plan = plan_lookup(
        len(store),
        reference.rows,
        space.dimension,
        k=config.limit_per_entry,
        batch_size=config.batch_size,
        query_itemsize=np.dtype(space.dtype).itemsize,
        reference_itemsize=np.dtype(there.dtype).itemsize,
        budget=_task_budget(client),
        threads=threads,
    )
    hits = nearest_neighbours(
        store.vectors(space.model, space.layer, plan.query_rows),
        reference.vectors(space.model, space.layer, plan.reference_rows),
        k=config.limit_per_entry,
        metric=config.embedding.distance_metric,
        threshold=config.embedding.models[space.model].distance_threshold,
        keep=reference.store.present(space.model, space.layer)
        & donor_rows(reference.proteins, job.annotations, job.allowed, donors=config.donors),
        asked=store.present(space.model, space.layer),
        batch_size=plan.batch_size,
    )
    starts = np.cumsum([0, *hits.chunks[0]])
    blocks = [hits.blocks[i] for i in range(hits.numblocks[0])]
    frames: dict[int, pd.DataFrame] = {}
    with progress.stage(f"lookup in {space}", len(store), "queries") as advance:
        futures = dict(zip(client.compute(blocks), range(len(blocks)), strict=True))
        try:
            for future in as_completed(list(futures)):
                block = futures[future]
                frames[block] = _hit_frame(future.result(), int(starts[block]))
                advance(int(hits.chunks[0][block]))
        except NonFiniteVectorError as error:
            ids = store.ids if error.side == "query" else reference.store.ids
            path = store.path if error.side == "query" else reference.path
            raise InputError(
                f"the vector of {ids[error.row]!r} ({path}, {space}, row {error.row}) holds NaN or infinity: "
                "expected numbers. Compute it again or leave the protein out."
            ) from error
        finally:
            client.cancel(list(futures))
    write_parquet(
        pd.concat([frames[block] for block in sorted(frames)], ignore_index=True), folder.hits(space.model, space.layer)
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
