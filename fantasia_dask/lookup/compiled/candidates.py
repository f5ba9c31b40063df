"""Who may be among the k nearest: candidates found in tiles of scores, and dropped once they are overtaken."""

from __future__ import annotations

import numpy as np
from numba import njit

from .intrinsics import MASK, first_bit, reaching, reaching_less
from .preparation import inner32

__all__ = ["nominate", "nominate_pairs", "not_ruled_out", "settle"]

WIDE = 512  # scores looked at together before any of them is looked at alone; a multiple of MASK


@njit(nogil=True, cache=True)
def _raise_bound(bounds, score):  # type: ignore[no-untyped-def]
    """Replace the smallest of a min-heap of scores."""
    k = bounds.shape[0]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= k:
            break
        if child + 1 < k and bounds[child + 1] < bounds[child]:
            child += 1
        if bounds[child] >= score:
            break
        bounds[i] = bounds[child]
        i = child
    bounds[i] = score


@njit(nogil=True, cache=True)
def _compact(columns, scores, count, bound):  # type: ignore[no-untyped-def]
    """Drop the candidates that the bound has overtaken; return how many are left."""
    kept = 0
    for c in range(count):
        if scores[c] >= bound:
            columns[kept] = columns[c]
            scores[kept] = scores[c]
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def _any_reaches(product, penalty, least):  # type: ignore[no-untyped-def]
    """Tell whether any of a few scores reaches the least that counts; without a branch, so that it is vectorised."""
    reaches = False
    if penalty.shape[0] == 0:
        for j in range(product.shape[0]):
            reaches |= product[j] >= least
    else:
        for j in range(product.shape[0]):
            reaches |= product[j] - penalty[j] >= least
    return reaches


@njit(nogil=True, cache=True)
def _reaching(product, penalty, start, least):  # type: ignore[no-untyped-def]
    """Return a bit for each score from `start` on, MASK at the most: set where it reaches the least that counts."""
    if start + MASK <= product.shape[0]:
        if penalty.shape[0]:
            return reaching_less(product, penalty, start, least)
        return reaching(product, start, least)
    mask = np.uint64(0)
    for j in range(start, product.shape[0]):
        score = product[j] - penalty[j] if penalty.shape[0] else product[j]
        if score >= least:
            mask |= np.uint64(1) << np.uint64(j - start)
    return mask


@njit(nogil=True, cache=True)
def _accept(donor, score, slack, bounds, columns, scores, count):  # type: ignore[no-untyped-def]
    """Add a candidate of one query; return how many it has now, or -1 where there is no room for all."""
    room = columns.shape[0]
    if count == room:
        count = _compact(columns, scores, count, bounds[0])
        if count > room - room // 4:
            # Too many rows too close to call: `exact_hits` will look at all of them.
            return -1
    columns[count] = donor
    scores[count] = score + slack
    if score - slack > bounds[0]:
        _raise_bound(bounds, score - slack)
    return count + 1


@njit(nogil=True, cache=True)
def nominate(product, penalty, error, first, q_labels, r_labels, bounds, columns, scores, counts):  # type: ignore[no-untyped-def]
    """Carry on the nomination of candidates through one tile of scores.

    Parameters
    ----------
    product : float32 array, shape (b, n)
        Inner products of b queries and n donors.
    penalty : float32 array, shape (n,) or (0,)
        Taken off every score of its column (half the squared norm for euclidean distance); empty for cosine.
    error : float32 array, shape (b,)
        Bound on the error of a query's scores in this tile.
    first : int
        Number of the tile's first column within the block.
    q_labels, r_labels : int64 arrays, shapes (b,) and (n,)
        A query and a donor with the same label, if not negative, are never paired.
    bounds : float32 array, shape (b, k)
        Min-heaps of the k best lower bounds so far. Changed.
    columns, scores : int32 and float32 arrays, shape (b, room)
        Candidates and the upper bounds of their scores. Changed.
    counts : int64 array, shape (b,)
        Candidates held per query; -1 when there was no room for all. Changed.
    """
    n = product.shape[1]
    penalised = penalty.shape[0] > 0
    for i in range(product.shape[0]):
        if counts[i] < 0:
            continue
        count = counts[i]
        slack = error[i]
        least = bounds[i, 0] - slack
        for wide in range(0, n, WIDE):
            if not _any_reaches(product[i, wide : wide + WIDE], penalty[wide : wide + WIDE], least):
                continue
            for start in range(wide, min(wide + WIDE, n), MASK):
                mask = _reaching(product[i], penalty, start, least)
                while mask != 0:
                    j = start + first_bit(mask)
                    mask &= mask - np.uint64(1)
                    score = product[i, j] - penalty[j] if penalised else product[i, j]
                    if score < least or (q_labels[i] >= 0 and q_labels[i] == r_labels[j]):
                        continue
                    count = _accept(first + j, score, slack, bounds[i], columns[i], scores[i], count)
                    if count < 0:
                        break
                    least = bounds[i, 0] - slack
                if count < 0:
                    break
            if count < 0:
                break
        counts[i] = count


@njit(nogil=True, cache=True)
def not_ruled_out(product, penalty, reach, bounds, counts, queries, donors):  # type: ignore[no-untyped-def]
    """List the pairs whose upper bound reaches the least score that counts.

    Parameters
    ----------
    product : float32 array, shape (b, n)
        Upper bounds of inner products.
    penalty : float32 array, shape (n,) or (0,)
        As for `nominate`.
    reach : float32 array, shape (b,)
        How far a score may exceed its bound.
    bounds, counts : arrays, shapes (b, k) and (b,)
        As for `nominate`; a query whose count is -1 has no pairs.
    queries, donors : int32 arrays, shape (room,)
        The pairs. Overwritten.

    Returns
    -------
    int
        How many; -1 where there is no room for all.
    """
    found, room, n = 0, queries.shape[0], product.shape[1]
    for i in range(product.shape[0]):
        least = bounds[i, 0] - reach[i]
        if counts[i] < 0 or not _any_reaches(product[i], penalty, least):
            continue
        for start in range(0, n, MASK):
            mask = _reaching(product[i], penalty, start, least)
            while mask != 0:
                if found == room:
                    return -1
                queries[found] = i
                donors[found] = start + first_bit(mask)
                mask &= mask - np.uint64(1)
                found += 1
    return found


@njit(nogil=True, cache=True)
def nominate_pairs(  # type: ignore[no-untyped-def]
    pair_queries, pair_donors, product, penalty, reach, queries, donors, error, first, q_labels, r_labels,
    bounds, columns, scores, counts,
):  # fmt: skip
    """Multiply some pairs, and carry on the nomination with their scores.

    Parameters
    ----------
    pair_queries, pair_donors : int32 arrays, shape (pairs,)
        In the order of the queries.
    product, penalty, reach
        As for `not_ruled_out`: a pair that is ruled out by now is left out.
    queries, donors : float32 arrays, shapes (b, d) and (n, d)
    error, first, q_labels, r_labels, bounds, columns, scores, counts
        As for `nominate`.
    """
    for p in range(pair_queries.shape[0]):
        i, j = pair_queries[p], pair_donors[p]
        if counts[i] < 0 or (q_labels[i] >= 0 and q_labels[i] == r_labels[j]):
            continue
        less = penalty[j] if penalty.shape[0] else np.float32(0)
        if product[i, j] - less < bounds[i, 0] - reach[i]:
            continue
        score = inner32(queries[i], donors[j]) - less
        if score >= bounds[i, 0] - error[i]:
            counts[i] = _accept(first + j, score, error[i], bounds[i], columns[i], scores[i], counts[i])


@njit(nogil=True, cache=True)
def settle(columns, scores, counts, bounds):  # type: ignore[no-untyped-def]
    """Drop the candidates that later ones have overtaken. `columns`, `scores` and `counts` are changed."""
    for i in range(counts.shape[0]):
        if counts[i] > 0:
            counts[i] = _compact(columns[i], scores[i], counts[i], bounds[i, 0])
