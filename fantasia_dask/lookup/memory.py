"""Bytes per lookup task, and the blocks that fit a budget.

A task holds a block of queries, a block of the reference, one tile of it in float32, one tile of scores, the few
coordinates that short products take, and the candidates of its queries. All of it follows from the shapes, so it is
known before anything is read.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..schema import HIT
from ..store import CHUNK_ROWS
from .nomination import TILE_ROWS
from .projection import PIECE, coordinates_of

__all__ = ["LookupPlan", "plan_lookup", "task_bytes", "worker_budget"]

MOST_QUERIES = 16384  # a task then reads little beside what it multiplies, and answers with few megabytes
MOST_DONORS = 131072  # a longer task restarts its bounds less often; above this nothing is left to save
LEAST_QUERIES = 64
LEAST_DONORS = 512
WORKER_BYTES = 300 * 10**6
"""What a worker holds beside its tasks: the interpreter, the libraries and their buffers."""


@dataclass(frozen=True)
class LookupPlan:
    """How one embedding space is cut into tasks.

    Attributes
    ----------
    query_rows, reference_rows : int
        Rows of one block of each side.
    batch_size : int
        Queries multiplied at once within a task.
    task_bytes : int
        Most memory that one task holds at once.
    tasks : int
        Number of block pairs.
    """

    query_rows: int
    reference_rows: int
    batch_size: int
    task_bytes: int
    tasks: int


def task_bytes(
    query_rows: int, reference_rows: int, d: int, k: int, batch_size: int, query_itemsize: int, reference_itemsize: int
) -> int:
    """Return the most bytes that one task holds at once.

    Examples
    --------
    >>> task_bytes(1024, 32768, d=1024, k=5, batch_size=1024, query_itemsize=4, reference_itemsize=2) // 10**6
    117
    """
    tile = min(TILE_ROWS, reference_rows)
    batch = min(batch_size, query_rows)
    queries = query_rows * d * (2 * query_itemsize + 4)  # as read, those that ask, and ready to be multiplied
    ahead = 2 * min(CHUNK_ROWS, reference_rows)  # the chunk that is read ahead, while it is put in its place
    reference = (reference_rows + ahead) * d * reference_itemsize
    scores = tile * d * 4 + batch * tile * 4
    short = (query_rows + tile) * coordinates_of(d) * 4 + PIECE * PIECE  # coordinates, and the pairs they leave
    candidates = query_rows * (4 * k + 8 * (2 * k + 64) + 16 + 3 * HIT.itemsize * k)
    numbers = 8 * (5 * reference_rows + 5 * query_rows)
    return queries + reference + scores + short + candidates + numbers


def plan_lookup(
    q: int,
    r: int,
    d: int,
    *,
    k: int,
    batch_size: int = 1024,
    query_itemsize: int = 4,
    reference_itemsize: int = 4,
    budget: int | None = None,
    threads: int = 1,
) -> LookupPlan:
    """Choose the blocks of a lookup.

    Parameters
    ----------
    q, r, d, k : int
        Queries, reference rows, dimensions, neighbours.
    batch_size : int
        A ceiling on the queries multiplied at once.
    query_itemsize, reference_itemsize : int
        Bytes of one stored number.
    budget : int, optional
        Bytes that one task may hold; by default as much as the largest useful blocks need.
    threads : int
        Tasks that run at once on the whole cluster; blocks are cut small enough to keep all of them busy.

    Raises
    ------
    InputError
        If even the smallest blocks exceed the budget.

    Examples
    --------
    >>> plan_lookup(20_000, 124_000, 1024, k=5, threads=2).tasks
    2
    >>> plan_lookup(20_000, 124_000, 1024, k=5, budget=1000)
    Traceback (most recent call last):
        ...
    fantasia_dask.errors.InputError: a lookup task needs at least ...
    """
    query_rows, reference_rows = max(1, min(q, MOST_QUERIES)), max(1, min(r, MOST_DONORS))

    def needed(query_rows: int, reference_rows: int) -> int:
        return task_bytes(query_rows, reference_rows, d, k, batch_size, query_itemsize, reference_itemsize)

    least = needed(min(q, LEAST_QUERIES), min(r, LEAST_DONORS))
    if budget is not None and least > budget:
        raise InputError(
            f"a lookup task needs at least {least / 1e9:.2f} GB; a worker thread has {budget / 1e9:.2f} GB. "
            "Give the workers more memory, or fewer threads."
        )
    while budget is not None and needed(query_rows, reference_rows) > budget:
        # The larger side goes first: a block pair then stays as square as it can, and reads least.
        if query_rows > LEAST_QUERIES and (query_rows >= reference_rows or reference_rows <= LEAST_DONORS):
            query_rows = max(LEAST_QUERIES, query_rows // 2)
        else:
            reference_rows = max(LEAST_DONORS, reference_rows // 2)
    query_rows = _even(q, query_rows)
    reference_rows = _even(r, reference_rows, -(-q // query_rows), threads)
    while _pairs(q, r, query_rows, reference_rows) < threads and max(query_rows, reference_rows) > LEAST_DONORS:
        if reference_rows >= query_rows:
            reference_rows = -(-reference_rows // 2)
        else:
            query_rows = -(-query_rows // 2)
    return LookupPlan(
        query_rows,
        reference_rows,
        min(batch_size, query_rows),
        needed(query_rows, reference_rows),
        _pairs(q, r, query_rows, reference_rows),
    )


def worker_budget(memory_limit: int, threads: int) -> int:
    """Return the bytes that one task may hold in a worker of so much memory, which runs one task per thread.

    Examples
    --------
    >>> worker_budget(8 * 10**9, threads=2) // 10**6
    3465
    """
    return max(0, int((memory_limit - WORKER_BYTES) * 0.9 / max(1, threads)))


def _pairs(q: int, r: int, query_rows: int, reference_rows: int) -> int:
    return -(-q // query_rows) * -(-r // reference_rows)


def _even(n: int, most: int, across: int = 1, threads: int = 1) -> int:
    """Cut n rows into blocks of one size, no larger than `most`: no short block leaves a worker idle.

    Where there are several for each thread, with `across` blocks of the other side, they come out even among these.
    """
    blocks = max(1, -(-n // most))
    if blocks * across > threads:
        while blocks * across % threads and -(-n // (blocks + 1)) >= LEAST_DONORS:
            blocks += 1
    return max(1, -(-n // blocks))
