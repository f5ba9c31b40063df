"""Neighbours that pass a test too dear to put to every pair: ask for more of them, until k are left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ..schema import NO_DONOR
from .topk import empty_hits

__all__ = ["Ask", "IsClose", "clean_neighbours"]

Ask: TypeAlias = Callable[[np.ndarray, int], np.ndarray]
"""Given n query rows and a number of neighbours, their hits: shape (n, at most that number), dtype HIT."""

IsClose: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Given query rows and reference rows, shape (p,) each, whether each pair is too close: bool, shape (p,)."""

SPARE = 8
"""Neighbours asked for beyond k at first: most proteins have few near copies in a reference."""

GROWTH = 4
"""How many times more are asked for, of the queries that fell short."""


def clean_neighbours(ask: Ask, is_close: IsClose, queries: np.ndarray, k: int) -> np.ndarray:
    """Find the k nearest donors of each query that are not too close to it.

    Exact: hits come nearest first, so the first k that pass are the k nearest that pass. A query with fewer than k
    among its hits is asked again, for more, until it has them or no donor is left. Of the hits only those are tested
    that could be among the k.

    Parameters
    ----------
    ask : callable
        The lookup: rows of queries, in ascending order, and a number of neighbours, to hits as `nearest_neighbours`
        gives them. Masks, labels and thresholds are its own affair.
    is_close : callable
        The test of pairs.
    queries : int array, shape (q,)
        Rows of the queries, in ascending order.
    k : int
        Neighbours kept per query.

    Returns
    -------
    array, shape (q, k), dtype HIT
        Sorted by distance, then by row; row -1 marks "no donor left".

    Examples
    --------
    >>> from fantasia_dask.schema import HIT
    >>> everyone = np.array([[(0.1, 4), (0.2, 7), (0.3, 5)]], HIT)
    >>> clean_neighbours(lambda rows, n: everyone[rows, :n], lambda rows, donors: donors == 4, np.arange(1), k=2)["row"]
    array([[7, 5]])
    """
    hits = empty_hits(len(queries), k)
    waiting, number = np.arange(len(queries)), k + SPARE
    while waiting.size:
        found = ask(queries[waiting], number)
        clean = _first_clean(found, queries[waiting], is_close, k)
        exhausted = found["row"][:, -1] == NO_DONOR if found.shape[1] == number else np.ones(len(found), bool)
        settled = exhausted | (clean.sum(axis=1) == k)
        line, column = np.nonzero(clean & settled[:, None])
        rank = (clean.cumsum(axis=1) - 1)[line, column]
        hits[waiting[line], rank] = found[line, column]
        waiting, number = waiting[~settled], number * GROWTH
    return hits


def _first_clean(found: np.ndarray, queries: np.ndarray, is_close: IsClose, k: int) -> np.ndarray:
    """Mark the first k hits of each query that pass: bool, shape (n, columns)."""
    rows, column = found["row"], np.arange(found.shape[1])
    clean = np.zeros(rows.shape, bool)
    looked_at = np.zeros(len(rows), np.int64)
    while True:
        # As many at a time as are missing: no hit is tested that cannot be among the k.
        upto = looked_at + k - clean.sum(axis=1)
        line, at = np.nonzero((column >= looked_at[:, None]) & (column < upto[:, None]) & (rows != NO_DONOR))
        if not line.size:
            return clean
        clean[line, at] = ~is_close(queries[line], rows[line, at])
        looked_at = upto
