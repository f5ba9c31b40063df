"""What a run would take, before it is started: memory, disk, tasks and time of its lookup.

Memory follows from the shapes (`lookup.memory`), time from two seconds of the real kernel (`lookup.calibration`). No
cluster is started and nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..config import Config, load_config
from ..errors import InputError
from ..schema import PART_QUERIES, Space
from .job import Job, check
from .planned import RunPlan, SpacePlan, in_bytes
from .vectors import comparable_spaces, outline_given, planned_spaces

if TYPE_CHECKING:
    from ..cluster import Workers
    from ..lookup import LookupPlan
    from ..lookup.calibration import Speed
    from ..stored import StoredArray

__all__ = ["plan_run"]

CALIBRATION_SECONDS = 2.0
HIT_BYTES_ON_DISK = 32
"""Of one line of `schema.HITS`, at the most: Parquet compresses them."""


def plan_run(config: Config | str | os.PathLike[str]) -> RunPlan:
    """Work out what a run would take: memory, disk, tasks and time of its lookup in every embedding space.

    Parameters
    ----------
    config : Config or path
        As for `fantasia_dask.run`. Everything that a run checks beforehand is checked.

    Returns
    -------
    RunPlan

    Raises
    ------
    InputError
        If something that the user gave is wrong, or a worker has too little memory for any lookup; the sentence names
        the least that would do.
    """
    from ..cluster import expected_workers

    if not isinstance(config, Config):
        config = load_config(config)
    job = check(config)
    settings = config.cluster.model_dump(exclude={"device_memory_limit", "slurm", "dashboard"})
    kind, workers = expected_workers(**settings)
    q, held = (len(job.proteins), planned_spaces(job)) if job.requests is not None else outline_given(job)
    found = [] if job.reference is None else comparable_spaces(job, held)
    plans = {space: _plan(job, space, q, workers) for space in found}  # refuses before anything is timed
    speeds = _speeds(job, found, workers, q)
    return RunPlan(
        kind,
        workers,
        tuple(_space_plan(job, space, q, workers, plans[space], speeds[_sort(job, space)]) for space in found),
        speeds,
        q,
        sum(len(protein.sequence) for protein in job.proteins),
        tuple(request.model.key for request in job.requests or ()),
    )


def _stored(job: Job, space: Space) -> StoredArray:
    assert job.reference is not None
    return job.reference.store.stored(space.model, space.layer)


def _present(job: Job, space: Space) -> np.ndarray:
    assert job.reference is not None
    return job.reference.store.present(space.model, space.layer)


def _sort(job: Job, space: Space) -> tuple[int, str]:
    """What the speed of a lookup depends on: spaces that agree in it are timed once."""
    return space.dimension, _stored(job, space).dtype.str


# Memory ----------------------------------------------------------------------------------------------------------


def _plan(job: Job, space: Space, q: int, workers: Workers) -> LookupPlan:
    """Cut a space as the run will; where no blocks fit, name the least memory for which there are some."""
    from ..lookup.memory import plan_lookup, worker_budget

    stored = _stored(job, space)

    def plan(memory: int | None) -> LookupPlan:
        return plan_lookup(
            -(-q // PART_QUERIES) * PART_QUERIES,
            stored.shape[0],
            space.dimension,
            k=job.config.limit_per_entry,
            batch_size=job.config.batch_size,
            query_itemsize=np.dtype(space.dtype).itemsize,
            reference_itemsize=stored.dtype.itemsize,
            budget=None if memory is None else worker_budget(memory, workers.threads),
            threads=workers.total_threads,
        )

    def fits(memory: int) -> bool:
        try:
            plan(memory)
        except InputError:
            return False
        return True

    memory = workers.memory_bytes
    if memory is None or fits(memory):
        return plan(memory)
    too_little, enough = memory, 2 * memory
    while not fits(enough):
        too_little, enough = enough, 2 * enough
    while enough - too_little > 10**6:
        middle = (too_little + enough) // 2
        too_little, enough = (too_little, middle) if fits(middle) else (middle, enough)
    raise InputError(
        f"a worker has {in_bytes(memory)} of memory for {workers.threads} threads, and the lookup in {space} needs at "
        f"least {-(-enough // 10**6)} MB: set cluster.memory_limit to that or more, or fewer "
        "cluster.threads_per_worker."
    )


def _space_plan(job: Job, space: Space, q: int, workers: Workers, plan: LookupPlan, speed: Speed) -> SpacePlan:
    from ..lookup.memory import WORKER_BYTES

    stored, keep = _stored(job, space), _keep(job, space)
    donors, row_bytes = int(keep.sum()), space.dimension * stored.dtype.itemsize
    blocks = _query_blocks(q, plan)
    # a chunk without a donor is not read
    touched = int(np.logical_or.reduceat(keep, range(0, len(keep), stored.chunk_rows)).sum()) if len(keep) else 0
    read = blocks * min(len(keep), touched * stored.chunk_rows) * row_bytes
    multiplying = q * donors / (speed.pairs_per_second * workers.total_threads)
    return SpacePlan(
        space,
        q,
        stored.shape[0],
        donors,
        blocks * -(-stored.shape[0] // plan.reference_rows),
        plan.task_bytes,
        WORKER_BYTES + workers.threads * plan.task_bytes,
        read,
        q * space.dimension * np.dtype(space.dtype).itemsize,
        q * min(job.config.limit_per_entry, stored.shape[0]) * HIT_BYTES_ON_DISK,
        max(multiplying, read / speed.bytes_per_second),  # the next chunk is read while the last is multiplied
    )


def _query_blocks(q: int, plan: LookupPlan) -> int:
    """Count the blocks of queries: whole parts of the hits are drawn at a time, as many as one block holds."""
    drawn = max(1, plan.query_rows // PART_QUERIES) * PART_QUERIES
    return sum(-(-min(drawn, q - start) // plan.query_rows) for start in range(0, q, drawn))


def _keep(job: Job, space: Space) -> np.ndarray:
    """Tell which rows of the reference may answer: shape (r,), bool."""
    from ..reference.taxonomy import donor_rows

    assert job.reference is not None
    assert job.allowed is not None
    passing = donor_rows(job.reference.proteins, job.annotations, job.allowed, donors=job.config.donors)
    return _present(job, space) & passing


def _speeds(job: Job, spaces: Sequence[Space], workers: Workers, q: int) -> dict[tuple[int, str], Speed]:
    """Time the kernel once for every sort of space, two seconds in all."""
    from ..cluster import usable_cores
    from ..lookup.calibration import calibrate

    config, sorts = job.config, {_sort(job, space): space for space in spaces}
    how = {
        "k": config.limit_per_entry,
        "metric": config.embedding.distance_metric,
        "batch_size": config.batch_size,
    }
    return {
        sort: calibrate(
            _stored(job, space),
            _present(job, space),
            q=q,
            threads=min(workers.total_threads, usable_cores()),
            seconds=CALIBRATION_SECONDS / len(sorts),
            how=how,
        )
        for sort, space in sorts.items()
    }
