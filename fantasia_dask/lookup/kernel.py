"""One block of queries against one block of the reference, exactly.

A float32 product is fast and a little wrong, so it only *nominates* (`nomination`). What is nominated, a few donors
more than k, is scored in float64, pair by pair, in one fixed order of summation, and sorted by distance, then by row.
So the answer does not depend on how the table is cut, nor on the library or the device that multiplies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .donors import Donors, NonFiniteVectorError, finite_squares, raw_bits, used_again
from .nomination import METRICS, Batch, Compiled, Nomination, OnArrays, product_error
from .topk import empty_hits, hits_from

__all__ = ["METRICS", "NonFiniteVectorError", "one_blas_thread", "product_error", "tile_hits"]

_threads = threading.Lock()
_pinned: list[Any] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Give each tile one BLAS thread: tiles run side by side, and two threads each would fight for the cores.

    The limit belongs to the process, so the first tile sets it and the last one to leave lifts it.
    """
    from threadpoolctl import threadpool_limits

    with _threads:
        _pinned.append(threadpool_limits(1, "blas") if not _pinned else None)
    try:
        yield
    finally:
        with _threads:
            # Whoever leaves last lifts the limit, also when the first has left before.
            limit = _pinned.pop() if len(_pinned) == 1 else _pinned.pop(1)
            if limit is not None:
                limit.restore_original_limits()


def tile_hits(
    queries: Any,
    reference: Any,
    rows: np.ndarray,
    *,
    k: int,
    metric: str = "cosine",
    threshold: float = np.inf,
    asked: np.ndarray | None = None,
    keep: np.ndarray | None = None,
    q_labels: np.ndarray | None = None,
    r_labels: np.ndarray | None = None,
    q_rows: np.ndarray | None = None,
    batch_size: int = 1024,
    xp: Any = None,
) -> np.ndarray:
    """Return the k nearest donors of each query within one block of the reference.

    Parameters
    ----------
    queries : array or pointer into a store, shape (q, d), float16 or float32
    reference : array or pointer into a store, shape (n, d), float16 or float32
    rows : int64 array, shape (n,)
        The number of each donor within the whole reference.
    k : int
        Neighbours kept per query.
    metric : {"cosine", "euclidean"}
    threshold : float
        Largest distance kept.
    asked : bool array, shape (q,), optional
        Queries that have a vector; the others get no donor.
    keep : bool array, shape (n,), optional
        Donors allowed to answer. The others are not multiplied, and a chunk without any is not read.
    q_labels, r_labels : int64 arrays, shapes (q,) and (n,), optional
        A query and a donor with the same label are never paired; a negative label is like no other.
    q_rows : int64 array, shape (q,), optional
        Numbers of the queries, for messages.
    batch_size : int
        Queries multiplied at once.
    xp : module, optional
        Array namespace that multiplies: ``cupy`` uses the current GPU, ``numpy`` the same code on the CPU. By default
        compiled loops on the CPU.

    Returns
    -------
    array, shape (q, k), dtype HIT
        Sorted by distance, then by row; padded with "no donor".

    Raises
    ------
    NonFiniteVectorError
        If a query asked, or a donor kept, holds NaN or infinity.

    Examples
    --------
    >>> donors = np.eye(3, dtype="float32")
    >>> tile_hits(donors[:1], donors, np.arange(3), k=2)
    array([[(0., 0), (1., 1)]], dtype=[('distance', '<f8'), ('row', '<i8')])
    """
    from .compiled.scoring import exact_hits

    hits = empty_hits(len(queries), k)
    asking = np.arange(len(queries)) if asked is None else np.flatnonzero(asked)
    chosen = np.arange(len(reference)) if keep is None else np.flatnonzero(keep)
    if not asking.size or not chosen.size:
        return hits
    everyone = len(asking) == len(queries)
    raw = raw_bits(queries[:] if everyone else queries[:][asking])
    squares = finite_squares(raw, "query", asking if q_rows is None else q_rows[asking])
    q_labels, r_labels = _labels(q_labels, asking), _labels(r_labels, chosen)
    donors = Donors(reference, chosen, rows[chosen], r_labels, metric, float(np.sqrt(squares.max())), used_again)
    batch = Batch.of(raw, q_labels, metric, threshold, donors.scale)
    nomination = _nomination(batch, k, len(chosen), batch_size, xp)
    with one_blas_thread():
        for tile in donors.tiles():
            nomination.look_at(tile)
    columns, counts = nomination.candidates()
    distances, found = np.full((len(asking), k), np.inf), np.full((len(asking), k), -1, np.int64)
    exact_hits(
        raw,
        donors.raw,
        squares,
        donors.squares,
        donors.rows,
        q_labels,
        r_labels,
        np.ascontiguousarray(columns),
        counts,
        metric == "euclidean",
        float(threshold),
        distances,
        found,
    )
    hits[asking] = hits_from(distances, found)
    return hits


def _nomination(batch: Batch, k: int, n: int, batch_size: int, xp: Any) -> Nomination:
    """Choose how candidates among n donors are found."""
    if xp is not None:
        return OnArrays(batch, k, xp)
    from . import projection

    way = projection.Projected if projection.pays(len(batch.vectors), n, batch.vectors.shape[1]) else Compiled
    return way(batch, k, batch_size)


def _labels(labels: np.ndarray | None, chosen: np.ndarray) -> np.ndarray:
    return np.full(len(chosen), -1) if labels is None else np.asarray(labels, np.int64)[chosen]
