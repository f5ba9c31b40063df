"""The loops of the lookup on a CPU, compiled: prepare rows, nominate candidates, score them exactly.

Everything here releases the interpreter lock, so that one task per thread keeps every core busy. Vectors come as
float32, or as the raw bits of float16 (uint16), which are widened where they are read: a block of a reference is
never copied whole.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

__all__ = ["block_distances", "exact_hits", "nominate", "pair_distances", "prepare", "settle", "squared_norms"]

LANES = 64  # partial sums of one float64 sum: a fixed order, and one that the compiler can vectorise
SCAN = 64  # scores looked at together before any of them is looked at alone


@intrinsic
def _as_float32(context, bits):  # type: ignore[no-untyped-def]
    """Take the bits of a uint32 for those of a float32."""
    if bits != types.uint32:
        return None

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.uint32), generate


def _value(x):  # type: ignore[no-untyped-def]
    """Return one stored number as float32. `overload` below tells the compiler how, by the type of `x`."""
    raise NotImplementedError


@overload(_value)
def _value_of(x):  # type: ignore[no-untyped-def]
    if isinstance(x, types.Integer):
        return _widen
    return lambda x: x


def _widen(x):  # type: ignore[no-untyped-def]
    """Widen the bits of a float16: exact, also for denormals, without a branch, so that it is vectorised."""
    negative = (x & 0x8000) != 0
    size = np.uint32(np.uint32(x & 0x7FFF) << 13)
    # The exponent is rebased by a multiplication, which normalises denormals by the way; infinity and NaN have the
    # largest exponent in either format.
    rebased = _as_float32(size) * np.float32(2.0**112)
    special = _as_float32(np.uint32(size | 0x7F800000))
    value = special if size >= 0x0F800000 else rebased
    return -value if negative else value


@njit(nogil=True, cache=True)
def squared_norms(vectors, out):  # type: ignore[no-untyped-def]
    """Write the float64 sums of squares of the rows of `vectors` (n, d) to `out` (n,)."""
    lanes = np.empty(LANES, np.float64)
    for i in range(vectors.shape[0]):
        out[i] = _inner(vectors[i], vectors[i], lanes)


@njit(nogil=True, cache=True)
def prepare(vectors, scale, out):  # type: ignore[no-untyped-def]
    """Write the rows of `vectors` (n, d), each times its `scale` (n,), to `out` as float32."""
    for i in range(vectors.shape[0]):
        factor = scale[i]
        for c in range(vectors.shape[1]):
            out[i, c] = np.float32(np.float64(_value(vectors[i, c])) * factor)


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


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz", "reassoc"})
def _largest(product, penalty):  # type: ignore[no-untyped-def]
    """Return the largest score of a few columns; none of them is NaN, so the order of looking does not matter."""
    largest = np.float32(-np.inf)
    for j in range(product.shape[0]):
        largest = max(largest, product[j] - penalty[j])
    return largest


@njit(nogil=True, cache=True)
def nominate(product, penalty, error, first, q_labels, r_labels, bounds, columns, scores, counts):  # type: ignore[no-untyped-def]
    """Carry on the nomination of candidates through one tile of scores.

    Parameters
    ----------
    product : float32 array, shape (b, n)
        Inner products of b queries and n donors.
    penalty : float32 array, shape (n,)
        Taken off every score of its column (half the squared norm for euclidean distance, 0 for cosine).
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
    room = columns.shape[1]
    for i in range(product.shape[0]):
        if counts[i] < 0:
            continue
        count = counts[i]
        slack = error[i]
        least = bounds[i, 0] - slack
        for start in range(0, n, SCAN):
            stop = min(start + SCAN, n)
            if _largest(product[i, start:stop], penalty[start:stop]) < least:
                continue
            for j in range(start, stop):
                score = product[i, j] - penalty[j]
                if score < least or (q_labels[i] >= 0 and q_labels[i] == r_labels[j]):
                    continue
                if count == room:
                    count = _compact(columns[i], scores[i], count, bounds[i, 0])
                    if count > room - room // 4:
                        # Too many rows too close to call: `exact_hits` will look at all of them.
                        count = -1
                        break
                columns[i, count] = first + j
                scores[i, count] = score + slack
                count += 1
                if score - slack > bounds[i, 0]:
                    _raise_bound(bounds[i], score - slack)
                    least = bounds[i, 0] - slack
            if count < 0:
                break
        counts[i] = count


@njit(nogil=True, cache=True)
def _inner(x, y, lanes):  # type: ignore[no-untyped-def]
    """Sum x * y in float64, in the project's one order: 64 lanes, then halves."""
    lanes[:] = 0.0
    d = x.shape[0]
    whole = d - d % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            lanes[lane] += np.float64(_value(x[start + lane])) * np.float64(_value(y[start + lane]))
    for lane in range(d - whole):
        lanes[lane] += np.float64(_value(x[whole + lane])) * np.float64(_value(y[whole + lane]))
    return _fold(lanes)


@njit(nogil=True, cache=True)
def _square_gap(x, y, lanes):  # type: ignore[no-untyped-def]
    """Sum (x - y) ** 2 in float64, in the project's one order."""
    lanes[:] = 0.0
    d = x.shape[0]
    whole = d - d % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            gap = np.float64(_value(x[start + lane])) - np.float64(_value(y[start + lane]))
            lanes[lane] += gap * gap
    for lane in range(d - whole):
        gap = np.float64(_value(x[whole + lane])) - np.float64(_value(y[whole + lane]))
        lanes[lane] += gap * gap
    return _fold(lanes)


@njit(nogil=True, cache=True)
def _fold(lanes):  # type: ignore[no-untyped-def]
    width = LANES // 2
    while width:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    return lanes[0]


@njit(nogil=True, cache=True)
def _distance(x, y, x_square, y_square, euclidean, lanes):  # type: ignore[no-untyped-def]
    if euclidean:
        return np.sqrt(_square_gap(x, y, lanes))
    # The root of the product, not the product of the roots: of equal vectors it is their squared norm, exactly.
    norms = np.sqrt(x_square * y_square)
    if norms == 0.0:
        return 1.0
    return min(2.0, max(0.0, 1.0 - _inner(x, y, lanes) / norms))


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
        Their squared norms, as `squared_norms` sums them.
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
    lanes = np.empty(LANES, np.float64)
    for i in range(queries.shape[0]):
        every = counts[i] < 0
        for c in range(donors.shape[0] if every else counts[i]):
            j = c if every else columns[i, c]
            if q_labels[i] >= 0 and q_labels[i] == r_labels[j]:
                continue
            distance = _distance(queries[i], donors[j], q_squares[i], r_squares[j], euclidean, lanes)
            if distance <= threshold:
                _insert(distances[i], found[i], distance, rows[j])


@njit(nogil=True, cache=True)
def _any_distance(x, y, x_square, y_square, euclidean, lanes):  # type: ignore[no-untyped-def]
    """As `_distance`, for vectors that may hold NaN: NaN, which `_distance` would clip."""
    if np.isnan(x_square + y_square):
        return np.nan
    return _distance(x, y, x_square, y_square, euclidean, lanes)


@njit(nogil=True, cache=True)
def block_distances(queries, reference, euclidean, out):  # type: ignore[no-untyped-def]
    """Write the distance of every row of `queries` (b, d) to every row of `reference` (n, d) to `out` (b, n)."""
    lanes = np.empty(LANES, np.float64)
    squares = np.empty(reference.shape[0], np.float64)
    for j in range(reference.shape[0]):
        squares[j] = _inner(reference[j], reference[j], lanes)
    for i in range(queries.shape[0]):
        square = _inner(queries[i], queries[i], lanes)
        for j in range(reference.shape[0]):
            out[i, j] = _any_distance(queries[i], reference[j], square, squares[j], euclidean, lanes)


@njit(nogil=True, cache=True)
def pair_distances(queries, reference, euclidean, out):  # type: ignore[no-untyped-def]
    """Write the distance of row i of `queries` (n, d) to row i of `reference` (n, d) to `out` (n,)."""
    lanes = np.empty(LANES, np.float64)
    for i in range(queries.shape[0]):
        x, y = queries[i], reference[i]
        out[i] = _any_distance(x, y, _inner(x, x, lanes), _inner(y, y, lanes), euclidean, lanes)
