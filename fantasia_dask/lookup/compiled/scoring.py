"""Exact distances: float64, in one fixed order of summation, pair by pair."""

from __future__ import annotations

import numpy as np
from numba import njit

from .intrinsics import exact_gap, exact_inner, prefetch

__all__ = ["block_distances", "exact_hits", "pair_distances", "squared_norms"]


@njit(nogil=True, cache=True)
def squared_norms(vectors, out):  # type: ignore[no-untyped-def]
    """Write the float64 sums of squares of the rows of `vectors` (n, d) to `out` (n,)."""
    for i in range(vectors.shape[0]):
        out[i] = exact_inner(vectors[i], vectors[i])


@njit(nogil=True, cache=True)
def _distance(x, y, x_square, y_square, euclidean):  # type: ignore[no-untyped-def]
    if euclidean:
        return np.sqrt(exact_gap(x, y))
    # The root of the product, not the product of the roots: of equal vectors it is their squared norm, exactly.
    norms = np.sqrt(x_square * y_square)
    if norms == 0.0:
        return 1.0
    return min(2.0, max(0.0, 1.0 - exact_inner(x, y) / norms))


@njit(nogil=True, cache=True)
def _insert(distances, rows, distance, row):  # type: ignore[no-untyped-def]
    """Insert a hit into k sorted hits, if it is better than the last of them."""
    k = distances.shape[0]
    if distance > distances[k - 1] or (distance == distances[k - 1] and row > rows[k - 1] >= 0):
        return
    i = k - 1
    while i > 0 and (distances[i - 1] > distance or (distances[i - 1] == distance and rows[i - 1] > row)):
        distances[i] = distances[i - 1]
        rows[i] = rows[i - 1]
        i -= 1
    distances[i] = distance
    rows[i] = row


@njit(nogil=True, cache=True)
def exact_hits(  # type: ignore[no-untyped-def]
    queries, donors, q_squares, r_squares, rows, q_labels, r_labels, columns, counts, euclidean, threshold,
    distances, found,
):  # fmt: skip
    """Score the candidates pair by pair in float64 and keep the k best of each query.

    Parameters
    ----------
    queries, donors : arrays, shapes (b, d) and (n, d)
        The vectors as stored.
    q_squares, r_squares : float64 arrays, shapes (b,) and (n,)
        Their squared norms, as `exact_inner` sums them. Those of the donors are negative until they are needed, and
        are filled in.
    rows : int64 array, shape (n,)
        Row numbers that the hits carry.
    q_labels, r_labels : int64 arrays, shapes (b,) and (n,)
        A query and a donor with the same label, if not negative, are never paired.
    columns : int32 array, shape (b, room)
        Donors nominated for each query.
    counts : int64 array, shape (b,)
        How many of them; -1 means: all donors.
    euclidean : bool
    threshold : float
        Largest distance kept.
    distances, found : float64 and int64 arrays, shape (b, k)
        The answer: filled with infinity and -1 by the caller.
    """
    for i in range(queries.shape[0]):
        every = counts[i] < 0
        for c in range(donors.shape[0] if every else counts[i]):
            j = c if every else columns[i, c]
            if not every and c + 1 < counts[i]:
                prefetch(donors[columns[i, c + 1]])
            if q_labels[i] >= 0 and q_labels[i] == r_labels[j]:
                continue
            if not euclidean and r_squares[j] < 0.0:
                r_squares[j] = exact_inner(donors[j], donors[j])
            distance = _distance(queries[i], donors[j], q_squares[i], r_squares[j], euclidean)
            if distance <= threshold:
                _insert(distances[i], found[i], distance, rows[j])


@njit(nogil=True, cache=True)
def _any_distance(x, y, x_square, y_square, euclidean):  # type: ignore[no-untyped-def]
    """As `_distance`, for vectors that may hold NaN: NaN, which `_distance` would clip."""
    if np.isnan(x_square + y_square):
        return np.nan
    return _distance(x, y, x_square, y_square, euclidean)


@njit(nogil=True, cache=True)
def block_distances(queries, reference, euclidean, out):  # type: ignore[no-untyped-def]
    """Write the distance of every row of `queries` (b, d) to every row of `reference` (n, d) to `out` (b, n)."""
    squares = np.empty(reference.shape[0], np.float64)
    squared_norms(reference, squares)
    for i in range(queries.shape[0]):
        square = exact_inner(queries[i], queries[i])
        for j in range(reference.shape[0]):
            out[i, j] = _any_distance(queries[i], reference[j], square, squares[j], euclidean)


@njit(nogil=True, cache=True)
def pair_distances(queries, reference, euclidean, out):  # type: ignore[no-untyped-def]
    """Write the distance of row i of `queries` (n, d) to row i of `reference` (n, d) to `out` (n,)."""
    for i in range(queries.shape[0]):
        x, y = queries[i], reference[i]
        out[i] = _any_distance(x, y, exact_inner(x, x), exact_inner(y, y), euclidean)
