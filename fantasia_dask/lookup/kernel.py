"""One tile of the lookup: a block of queries against a block of the reference, exactly.

A float32 product is fast and a little wrong, so it only *nominates*. With u = 2**-24 the inner product of two
vectors of length d, summed in any order, with or without fused multiply-add, is off by at most

    gamma_d |x| |y|,    gamma_d = d u / (1 - d u)                    (Higham 2002, section 3.1)

Cosine: both vectors are divided by their norms in float64 and rounded once, which moves each by at most u of its
length, so a score is off by at most gamma_d + 2u + O(u^2). Euclidean: donors are ordered by x.y - |y|^2 / 2; the
second term is rounded once and the subtraction once more, so with the largest norm Y of the tile's donors the
score is off by at most gamma_d |x| Y + u (|x| Y + Y^2), and by d 2^-52 (|x| + Y)^2 from the float64 distance.
`product_error` bounds both with room to spare, and adds
what underflow may cost.

Each query keeps the k best *lower* bounds (score minus error) of its donors; a donor whose *upper* bound does not
reach the least of them cannot be among the k nearest. What is left, a few donors more than k, is scored in
float64, pair by pair, in one fixed order of summation, and sorted by distance, then by row. So the answer does not
depend on how the table is cut, nor on the library that multiplies. A query with more donors too close to call than
there is room for (thousands of copies of one sequence) is scored against all of them.

References
----------
Higham (2002) Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import InputError
from .topk import empty_hits, hits_from

__all__ = ["METRICS", "NonFiniteVectorError", "product_error", "tile_hits"]

METRICS = ("cosine", "euclidean")
UNIT = 2.0**-24  # rounding of float32
TILE_ROWS = 4096  # donors multiplied at once: 16 MB of float32 at d = 1024, and of scores with 1024 queries
SPARE = 64  # room for candidates beyond k


class NonFiniteVectorError(InputError):
    """A vector that takes part in the lookup holds NaN or infinity.

    Attributes
    ----------
    side : {"query", "reference"}
    row : int
        Its row in the queries or in the reference.
    """

    def __init__(self, side: str, row: int):
        super().__init__(side, row)
        self.side = side
        self.row = row

    def __str__(self) -> str:
        return f"row {self.row} of the {self.side} vectors holds NaN or infinity: compute that vector again."


def product_error(d: int, metric: str, x: Any = 1.0, y: float = 1.0) -> Any:
    """Bound the error of a float32 score.

    Parameters
    ----------
    d : int
        Length of the vectors.
    metric : {"cosine", "euclidean"}
    x : float or array, shape (b,)
        Norms of the queries, for euclidean.
    y : float
        Largest norm of the donors, for euclidean.

    Returns
    -------
    float or array, shape (b,)
        In units of the score.

    Examples
    --------
    >>> float(product_error(1024, "cosine")) < 7e-5
    True
    """
    relative = 1.02 * (d + 8) * UNIT
    underflow = d * 2.0**-125  # a product that underflows, or is flushed to zero, loses less than 2**-126
    if metric == "cosine":
        return relative + underflow
    # The float64 distance, which has the last word, is itself rounded, in proportion to (x + y)^2: beside a huge query
    # all donors tie, and the first rows must be nominated.
    last_word = (d + 8) * 2.0**-52 * (x + y) ** 2
    return relative * (x * y + y * y) + last_word + underflow


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


def _raw(vectors: np.ndarray) -> np.ndarray:
    """View float16 as its bits, which is how the compiled loops read it."""
    vectors = np.ascontiguousarray(vectors)
    return vectors.view(np.uint16) if vectors.dtype == np.float16 else vectors.astype(np.float32, copy=False)


def _finite_squares(raw: np.ndarray, chosen: np.ndarray, side: str, rows: np.ndarray) -> np.ndarray:
    """Return the squared float64 norms of the chosen rows, or raise at the first that is not finite."""
    from .compiled import squared_norms

    squares = np.empty(len(chosen))
    squared_norms(raw, chosen, squares)
    wrong = np.flatnonzero(~np.isfinite(squares))
    if wrong.size:
        raise NonFiniteVectorError(side, int(rows[chosen[wrong[0]]]))
    return squares


def _inverse(norms: np.ndarray) -> np.ndarray:
    """Return 1 / norm, and 0 for a zero vector, whose scores are then 0 and whose cosine distance is 1."""
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)


def _floor32(values: np.ndarray) -> np.ndarray:
    """Round to float32, never upwards."""
    with np.errstate(over="ignore"):  # below float32 there is minus infinity, which bounds nothing
        return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def tile_hits(
    queries: np.ndarray,
    reference: np.ndarray,
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
) -> np.ndarray:
    """Return the k nearest donors of each query within one block of the reference.

    Parameters
    ----------
    queries : array, shape (q, d), float16 or float32
    reference : array, shape (n, d), float16 or float32
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
        Donors allowed to answer. The others are not even multiplied.
    q_labels, r_labels : int64 arrays, shapes (q,) and (n,), optional
        A query and a donor with the same label are never paired; a negative label is like no other.
    q_rows : int64 array, shape (q,), optional
        Numbers of the queries, for messages.
    batch_size : int
        Queries multiplied at once.

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
    hits = empty_hits(len(queries), k)
    everyone = np.arange(len(queries))
    asking = everyone if asked is None else np.flatnonzero(asked)
    chosen = np.arange(len(reference)) if keep is None else np.flatnonzero(keep)
    if not asking.size or not chosen.size:
        return hits
    q_raw, r_raw = _raw(queries), _raw(reference)
    q_squares = _finite_squares(q_raw, asking, "query", everyone if q_rows is None else q_rows)
    r_squares = _finite_squares(r_raw, chosen, "reference", rows)
    donors = _Donors(r_raw, chosen, r_squares, rows, metric, float(np.sqrt(q_squares.max())))
    labels_r = np.full(len(chosen), -1) if r_labels is None else np.asarray(r_labels, np.int64)[chosen]
    labels_q = np.full(len(asking), -1) if q_labels is None else np.asarray(q_labels, np.int64)[asking]
    batches = [slice(start, start + batch_size) for start in range(0, len(asking), batch_size)]
    with one_blas_thread():
        asks = [_Ask(q_raw[asking[b]], q_squares[b], labels_q[b], k, metric, threshold, donors.scale) for b in batches]
        for tile in donors.tiles():
            for ask in asks:
                ask.look_at(tile, labels_r)
    for batch, ask in zip(batches, asks, strict=True):
        hits[asking[batch]] = ask.answer(donors, labels_r)
    return hits


class _Tile:
    """Some donors, ready to be multiplied."""

    def __init__(self, vectors: np.ndarray, penalty: np.ndarray, first: int, largest: float):
        self.vectors = vectors
        self.penalty = penalty
        self.first = first
        self.largest = largest


class _Donors:
    """The donors of one block that may answer, and the scale in which they are compared."""

    def __init__(
        self, raw: np.ndarray, chosen: np.ndarray, squares: np.ndarray, rows: np.ndarray, metric: str, largest: float
    ):
        self.raw, self.chosen, self.squares, self.rows, self.metric = raw, chosen, squares, rows, metric
        self.norms = np.sqrt(squares)
        # A power of two moves no digit; it keeps squares of huge or tiny vectors within float32.
        peak = max(largest, float(self.norms.max()))
        self.scale = 1.0 if metric == "cosine" or peak == 0 else 2.0 ** -np.frexp(peak)[1]

    def tiles(self) -> Iterator[_Tile]:
        """Yield the donors, a tile at a time, in one buffer that is used again."""
        from .compiled import prepare

        buffer = np.empty((min(TILE_ROWS, len(self.chosen)), self.raw.shape[1]), np.float32)
        for first in range(0, len(self.chosen), TILE_ROWS):
            part = slice(first, first + TILE_ROWS)
            norms = self.norms[part]
            vectors = buffer[: len(norms)]
            if self.metric == "cosine":
                prepare(self.raw, self.chosen[part], _inverse(norms), vectors)
                yield _Tile(vectors, np.zeros(len(norms), np.float32), first, 1.0)
            else:
                prepare(self.raw, self.chosen[part], np.full(len(norms), self.scale), vectors)
                scaled = norms * self.scale
                yield _Tile(vectors, (scaled**2 / 2).astype(np.float32), first, float(scaled.max()))


class _Ask:
    """A batch of queries and the candidates that it has met so far."""

    def __init__(
        self,
        raw: np.ndarray,
        squares: np.ndarray,
        labels: np.ndarray,
        k: int,
        metric: str,
        threshold: float,
        scale: float,
    ):
        from .compiled import prepare

        self.raw, self.labels, self.metric, self.threshold = raw, labels, metric, threshold
        b, d = raw.shape
        norms = np.sqrt(squares)
        self.squares, self.norms = squares, norms * scale
        self.vectors = np.empty((b, d), np.float32)
        prepare(raw, np.arange(b), _inverse(norms) if metric == "cosine" else np.full(b, scale), self.vectors)
        # The least score that the threshold allows, lowered by more than its own rounding; the tile's error does
        # the rest.
        euclidean = (self.norms**2 - (threshold * scale) ** 2) / 2
        least = np.full(b, 1.0 - threshold) if metric == "cosine" else euclidean
        least -= 1e-6 * np.where(np.isfinite(least), np.abs(least), 0)
        self.bounds = np.repeat(_floor32(least)[:, None], k, axis=1)
        self.columns = np.empty((b, 2 * k + SPARE), np.int32)
        self.scores = np.empty((b, 2 * k + SPARE), np.float32)
        self.counts = np.zeros(b, np.int64)

    def look_at(self, tile: _Tile, r_labels: np.ndarray) -> None:
        """Multiply, and nominate candidates among a tile's donors."""
        from .compiled import nominate

        product = self.vectors @ tile.vectors.T
        error = product_error(self.vectors.shape[1], self.metric, self.norms, tile.largest)
        error = np.broadcast_to(np.asarray(error, np.float32), len(self.vectors))
        last = tile.first + len(tile.penalty)
        nominate(
            product,
            tile.penalty,
            error,
            tile.first,
            self.labels,
            r_labels[tile.first : last],
            self.bounds,
            self.columns,
            self.scores,
            self.counts,
        )

    def answer(self, donors: _Donors, r_labels: np.ndarray) -> np.ndarray:
        """Score the candidates exactly; return shape (b, k), dtype HIT."""
        from .compiled import exact_hits

        shape = self.bounds.shape
        distances, found = np.full(shape, np.inf), np.full(shape, -1, np.int64)
        exact_hits(
            self.raw,
            donors.raw,
            self.squares,
            donors.squares,
            donors.chosen,
            donors.rows,
            self.labels,
            r_labels,
            self.columns,
            self.scores,
            self.counts,
            self.bounds,
            self.metric == "euclidean",
            float(self.threshold),
            distances,
            found,
        )
        return hits_from(distances, found)
