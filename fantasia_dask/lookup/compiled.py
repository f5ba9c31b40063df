"""The loops of the lookup on a CPU, compiled: prepare rows, nominate candidates, score them exactly.

Everything here releases the interpreter lock, so that one task per thread keeps every core busy. Vectors come as
float32, or as the raw bits of float16 (uint16), which are widened where they are read: a block of a reference is
never copied whole.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from .intrinsics import MASK, exact_gap, exact_inner, first_bit, prefetch, reaching, reaching_less, value

__all__ = [
    "block_distances",
    "exact_hits",
    "measure_rest",
    "nominate",
    "nominate_pairs",
    "not_ruled_out",
    "orthonormalise",
    "pair_distances",
    "prepare",
    "settle",
    "squared_norms",
]

UP = 1.0 + 2.0**-22  # a float64 number times this is no smaller when it is rounded to float32
WIDE = 512  # scores looked at together before any of them is looked at alone; a multiple of MASK


@njit(nogil=True, cache=True)
def squared_norms(vectors, out):  # type: ignore[no-untyped-def]
    """Write the float64 sums of squares of the rows of `vectors` (n, d) to `out` (n,)."""
    for i in range(vectors.shape[0]):
        out[i] = exact_inner(vectors[i], vectors[i])


@njit(nogil=True, cache=True)
def prepare(vectors, unit, scale, out, norms):  # type: ignore[no-untyped-def]
    """Make stored vectors ready to be multiplied, and measure them.

    Parameters
    ----------
    vectors : array, shape (n, d), uint16 (the bits of float16) or float32
    unit : bool
        Whether each vector is divided by its norm (a zero vector stays one), else all are multiplied with `scale`.
    scale : float
        A power of two.
    out : float32 array, shape (n, d)
        The vectors. Overwritten.
    norms : float64 array, shape (n,)
        Their norms as stored, off by at most d 2**-25 relative: float16 is summed in float32, in any order, and float32
        in float64. Overwritten.
    """
    for i in range(vectors.shape[0]):
        norms[i] = np.sqrt(_widen(vectors[i], out[i]))
        factor = scale if not unit else (1.0 / norms[i] if norms[i] > 0.0 else 0.0)
        _multiply(vectors[i], out[i], factor)


def _widen(stored, wide):  # type: ignore[no-untyped-def]
    """Write a vector as float32 where it is not, and return about its squared norm; `overload` tells how, by type."""
    raise NotImplementedError


@overload(_widen)
def _widen_of(stored, wide):  # type: ignore[no-untyped-def]
    def half(stored, wide):  # type: ignore[no-untyped-def]
        for c in range(stored.shape[0]):
            wide[c] = value(stored[c])
        return np.float64(_inner32(wide, wide))

    def single(stored, wide):  # type: ignore[no-untyped-def]
        return _inner64(stored, stored)

    return half if isinstance(stored.dtype, types.Integer) else single


def _multiply(stored, wide, factor):  # type: ignore[no-untyped-def]
    """Write a vector times a factor as float32; `overload` tells how, by type."""
    raise NotImplementedError


@overload(_multiply)
def _multiply_of(stored, wide, factor):  # type: ignore[no-untyped-def]
    def half(stored, wide, factor):  # type: ignore[no-untyped-def]
        short = np.float32(factor)
        for c in range(wide.shape[0]):
            wide[c] *= short

    def single(stored, wide, factor):  # type: ignore[no-untyped-def]
        for c in range(stored.shape[0]):  # in float64: the inverse of a tiny norm is more than float32 can hold
            wide[c] = np.float32(np.float64(stored[c]) * factor)

    return half if isinstance(stored.dtype, types.Integer) else single


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _inner32(x, y):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for c in range(x.shape[0]):
        total += x[c] * y[c]
    return total


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _inner64(x, y):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in range(x.shape[0]):
        total += np.float64(x[c]) * np.float64(y[c])
    return total


@njit(nogil=True, cache=True)
def orthonormalise(vectors):  # type: ignore[no-untyped-def]
    """Make the rows of a float64 array, shape (m, d), orthonormal, in place; a row that depends on others becomes zero.

    Gram-Schmidt, each row twice, which keeps float64 orthogonal to working precision. LAPACK's QR would do, but two of
    them side by side wait for each other.
    """
    for i in range(vectors.shape[0]):
        before = np.sqrt(_inner64(vectors[i], vectors[i]))
        for _ in range(2):
            for j in range(i):
                along = _inner64(vectors[j], vectors[i])
                for c in range(vectors.shape[1]):
                    vectors[i, c] -= along * vectors[j, c]
        norm = np.sqrt(_inner64(vectors[i], vectors[i]))
        inverse = 1.0 / norm if norm > 1e-10 * before and norm > 0.0 else 0.0
        for c in range(vectors.shape[1]):
            vectors[i, c] *= inverse


@njit(nogil=True, cache=True)
def measure_rest(vectors, gamma, excess, coordinates):  # type: ignore[no-untyped-def]
    """Append to the coordinates of vectors in a subspace what bounds the products that they leave out.

    Parameters
    ----------
    vectors : float32 array, shape (n, d)
    gamma : float
        Bound on the error of a coordinate, in units of the vector's norm.
    excess : float
        How far the squared length of the coordinates may exceed that of the projection, in units of the squared norm.
    coordinates : float32 array, shape (n, m + 3)
        The first m are given. Appended, and rounded up: the norm of the rest; gamma times the norm of the vector; the
        sum of the absolute coordinates.
    """
    m = coordinates.shape[1] - 3
    for i in range(vectors.shape[0]):
        square, inside, absolute = _inner64(vectors[i], vectors[i]), 0.0, 0.0
        for c in range(m):
            x = np.float64(coordinates[i, c])
            inside += x * x
            absolute += abs(x)
        norm = np.sqrt(square)
        rest = max(0.0, square - inside) + 2.0 * gamma * norm * absolute + excess * square
        coordinates[i, m] = UP * np.sqrt(rest)
        coordinates[i, m + 1] = UP * gamma * norm
        coordinates[i, m + 2] = UP * absolute


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
        score = _inner32(queries[i], donors[j]) - less
        if score >= bounds[i, 0] - error[i]:
            counts[i] = _accept(first + j, score, error[i], bounds[i], columns[i], scores[i], counts[i])


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
def settle(columns, scores, counts, bounds):  # type: ignore[no-untyped-def]
    """Drop the candidates that later ones have overtaken. `columns`, `scores` and `counts` are changed."""
    for i in range(counts.shape[0]):
        if counts[i] > 0:
            counts[i] = _compact(columns[i], scores[i], counts[i], bounds[i, 0])


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
