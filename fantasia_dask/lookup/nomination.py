"""Who may be among the k nearest: candidates nominated by a float32 product whose error is bounded.

With u = 2**-24 the inner product of two vectors of length d, summed in any order, with or without fused multiply-add,
is off by at most

    gamma_d |x| |y|,    gamma_d = d u / (1 - d u)                    (Higham 2002, section 3.1)

Cosine: both vectors are divided by their norms. A norm is off by at most d u / 2 of itself, since a sum of d squares is
off by at most gamma_d of itself (`preparation.prepare`); its inverse and the quotient are rounded once each. A score is
off by at most gamma_d + d u + 4u + O(u^2). Euclidean: donors are ordered by x.y - |y|^2 / 2; the second term is off by
at most gamma_d Y^2 / 2, Y being the largest norm of the tile's donors, and rounded, and the subtraction is rounded once
more, so the score is off by at most gamma_d (|x| Y + Y^2 / 2) + u (|x| Y + 2 Y^2), and by d 2^-52 (|x| + Y)^2 from the
float64 distance.
`product_error` bounds both with room to spare, and adds what underflow may cost. The bound holds for any library that
multiplies in float32 and adds in float32 or better: OpenBLAS and MKL on a CPU, cuBLAS on a GPU as long as TF32 is off,
whose products keep 10 bits of a factor.

Each query keeps the k best *lower* bounds (score minus error) of its donors; a donor whose *upper* bound does not
reach the least of them cannot be among the k nearest. A query with more donors too close to call than there is room
for (thousands of copies of one sequence) is to be scored against all of them.

Three classes do the same work with different means (the third is `projection.Projected`); another that keeps the
promise of `Nomination` can take their place.

References
----------
Higham (2002) Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["METRICS", "TILE_ROWS", "Batch", "Compiled", "Nomination", "OnArrays", "Tile", "inverse", "product_error"]

METRICS = ("cosine", "euclidean")
UNIT = 2.0**-24  # rounding of float32
SPARE = 64  # room for candidates beyond k
TILE_ROWS = 2048  # donors multiplied at once: 8 MB of float32 at d = 1024, and of scores with 1024 queries


@dataclass(frozen=True)
class Tile:
    """Some donors of a block.

    Attributes
    ----------
    raw : array, shape (n, d), uint16 (the bits of float16) or float32
        The vectors as stored.
    vectors : float32 array, shape (n, d)
        Ready to be multiplied: of norm 1 for cosine, times the block's scale for euclidean. The buffer is used again
        for the next tile.
    factors : float64 array, shape (n,)
        What was multiplied with.
    penalty : float32 array, shape (n,) or (0,)
        Taken off every score of its column: half the squared norm for euclidean; empty for cosine.
    first : int
        Number of the first donor within the block.
    largest : float
        Largest norm, scaled; 1 for cosine. The error of the scores depends on it.
    labels : int64 array, shape (n,)
    """

    raw: np.ndarray
    vectors: np.ndarray
    factors: np.ndarray
    penalty: np.ndarray
    first: int
    largest: float
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.raw)

    def part(self, start: int, stop: int) -> Tile:
        """Return some of the donors."""
        some = slice(start, stop)
        raw, vectors, factors = self.raw[some], self.vectors[some], self.factors[some]
        return Tile(raw, vectors, factors, self.penalty[some], self.first + start, self.largest, self.labels[some])


class Nomination(Protocol):
    """Candidates of b queries, among the donors of one block.

    The promise: every donor that is among the k nearest allowed ones, in the total order of (float64 distance, row),
    is nominated, or the count of its query is -1.
    """

    def look_at(self, tile: Tile) -> None:
        """Take one more tile into account; tiles come in the order of their donors."""

    def candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """Return donors by number within the block, int32 (b, room), and how many, int64 (b,); -1 = all donors."""


def product_error(d: int, metric: str, x: Any = 1.0, y: float = 1.0, terms: float | None = None) -> Any:
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
    terms : float, optional
        How many numbers a product adds up; by default d.

    Returns
    -------
    float or array, shape (b,)
        In units of the score.

    Examples
    --------
    >>> float(product_error(1024, "cosine")) < 2e-4
    True
    """
    terms = d if terms is None else terms
    product, measured = 1.02 * (terms + 8) * UNIT, 1.02 * d * UNIT
    underflow = d * 2.0**-125  # a product that underflows, or is flushed to zero, loses less than 2**-126
    if metric == "cosine":
        return product + measured + underflow
    # The float64 distance, which has the last word, is itself rounded, in proportion to (x + y)^2: beside a huge query
    # all donors tie, and the first rows must be nominated.
    last_word = (d + 8) * 2.0**-52 * (x + y) ** 2
    return product * x * y + (measured + 8 * UNIT) * y * y + last_word + underflow


def inverse(norms: np.ndarray) -> np.ndarray:
    """Return 1 / norm, and 0 for a zero vector, whose scores are then 0 and whose cosine distance is 1."""
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)


def _floor32(values: np.ndarray) -> np.ndarray:
    """Round to float32, never upwards."""
    with np.errstate(over="ignore"):  # below float32 there is minus infinity, which bounds nothing
        return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


@dataclass(frozen=True)
class Batch:
    """Some queries, ready to be multiplied.

    Attributes
    ----------
    vectors : float32 array, shape (b, d)
        Prepared as the tiles are.
    norms : float64 array, shape (b,)
        Scaled.
    labels : int64 array, shape (b,)
    least : float32 array, shape (b,)
        The least score that the threshold allows, lowered by more than its own rounding; the tile's error does the
        rest.
    metric : str
    """

    vectors: np.ndarray
    norms: np.ndarray
    labels: np.ndarray
    least: np.ndarray
    metric: str

    @classmethod
    def of(cls, raw: np.ndarray, labels: np.ndarray, metric: str, threshold: float, scale: float) -> Batch:
        """Prepare stored vectors, shape (b, d)."""
        from .compiled.preparation import prepare

        norms, vectors = np.empty(len(raw)), np.empty(raw.shape, np.float32)
        prepare(raw, metric == "cosine", scale, vectors, norms)
        norms *= scale
        least = np.full(len(raw), 1.0 - threshold) if metric == "cosine" else (norms**2 - (threshold * scale) ** 2) / 2
        if metric == "euclidean":  # a norm of float16 is off by a little
            least -= raw.shape[1] * UNIT * norms**2
        least -= 1e-6 * np.where(np.isfinite(least), np.abs(least), 0)
        return cls(vectors, norms, labels, _floor32(least), metric)

    def error(self, tile: Tile) -> np.ndarray:
        """Bound the error of each query's scores in a tile: float32, shape (b,)."""
        error = product_error(self.vectors.shape[1], self.metric, self.norms, tile.largest)
        return np.broadcast_to(np.asarray(error, np.float32), self.norms.shape)


class Compiled:
    """Nomination on a CPU: BLAS multiplies, a compiled loop looks through the scores while they are in cache.

    Parameters
    ----------
    batch : Batch
    k : int
    batch_size : int
        Queries multiplied at once.
    """

    def __init__(self, batch: Batch, k: int, batch_size: int):
        b = len(batch.norms)
        self.batch, self.batch_size = batch, min(batch_size, b)
        self.bounds = np.repeat(batch.least[:, None], k, axis=1)
        self.columns = np.empty((b, 2 * k + SPARE), np.int32)
        self.upper = np.empty((b, 2 * k + SPARE), np.float32)
        self.counts = np.zeros(b, np.int64)
        # Made once: memory that is asked for again and again costs more than the search through it.
        self.product = np.empty(self.batch_size * TILE_ROWS, np.float32)

    def look_at(self, tile: Tile) -> None:
        """Multiply, and carry on the nomination, some queries at a time."""
        error = self.batch.error(tile)
        for start in range(0, len(self.counts), self.batch_size):
            some = slice(start, start + self.batch_size)
            self._carry_on(some, tile, self._multiply(self.batch.vectors[some], tile.vectors), error)

    def _multiply(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return x @ y.T, in memory that is used again."""
        return np.matmul(x, y.T, out=self.product[: len(x) * len(y)].reshape(len(x), len(y)))

    def _carry_on(self, some: slice, tile: Tile, product: np.ndarray, error: np.ndarray) -> None:
        """Look through the scores of some queries."""
        from .compiled.candidates import nominate

        nominate(product, tile.penalty, error[some], *self._state(some, tile))

    def _state(self, some: slice, tile: Tile) -> tuple[Any, ...]:
        """Return what the nomination of some queries in a tile goes on from."""
        labels = tile.first, self.batch.labels[some], tile.labels
        return *labels, self.bounds[some], self.columns[some], self.upper[some], self.counts[some]

    def candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """Return those that no later one has overtaken."""
        from .compiled.candidates import settle

        settle(self.columns, self.upper, self.counts, self.bounds)
        return self.columns, self.counts


class OnArrays:
    """Nomination with the functions of an array namespace: CuPy on a GPU, NumPy in tests.

    A tile travels to the device as it is stored, while the one before is multiplied, and is prepared there. Its
    k + SPARE best scores join those kept so far, of which again the best are kept. What was ever left out scored no
    more than `dropped`; where that cannot reach the k-th best lower bound, nobody was missed. A tile for which the
    device has not enough memory is halved.

    Parameters
    ----------
    batch : Batch
    k : int
    xp : module
        ``cupy`` or ``numpy``.
    """

    def __init__(self, batch: Batch, k: int, xp: Any):
        b = len(batch.norms)
        self.batch, self.k, self.xp = batch, k, xp
        self.vectors, self.labels = xp.asarray(batch.vectors), xp.asarray(batch.labels)
        self.separates = bool((batch.labels >= 0).any())
        self.copies = xp.cuda.Stream(non_blocking=True) if hasattr(xp, "cuda") else None
        self.error = np.zeros(b, np.float32)
        self.kept = (
            xp.empty((b, 0), np.float32),  # scores
            xp.empty((b, 0), np.int32),  # donors
            xp.full(b, -np.inf, np.float32),  # the best score of a donor left out
        )

    def look_at(self, tile: Tile) -> None:
        """Multiply on the device, and keep the best scores."""
        try:
            self.kept = self._with(tile)
        except MemoryError:
            half = len(tile) // 2
            if not half:
                raise
            self.look_at(tile.part(0, half))
            self.look_at(tile.part(half, len(tile)))
        else:
            self.error = np.maximum(self.error, self.batch.error(tile))

    def _with(self, tile: Tile) -> tuple[Any, Any, Any]:
        xp, room = self.xp, self.k + SPARE
        wide = self._widened(tile.raw)
        wide *= xp.asarray(tile.factors)[:, None]
        scores = self.vectors @ wide.astype(np.float32).T
        if len(tile.penalty):
            scores -= xp.asarray(tile.penalty)
        if self.separates:
            same = self.labels[:, None] == xp.asarray(tile.labels)
            scores = xp.where(same & (self.labels >= 0)[:, None], np.float32(-np.inf), scores)
        kept, columns, dropped = self.kept
        scores, places, left_out = _best(xp, scores, room)
        columns = xp.concatenate([columns, (places + tile.first).astype(np.int32)], axis=1)
        scores, places, left_out_too = _best(xp, xp.concatenate([kept, scores], axis=1), room)
        dropped = xp.maximum(dropped, xp.maximum(left_out, left_out_too))
        return scores, xp.take_along_axis(columns, places, axis=1), dropped

    def _widened(self, raw: np.ndarray) -> Any:
        """Bring stored vectors to the device, in float64, by a stream of copies that does not wait for the products.

        CuPy stages what it copies in page-locked memory and goes on at once. What is copied is read by the first step
        of a tile's work only; the next copy waits for that step, since it may be given the same memory.
        """
        if self.copies is None:
            stored = self.xp.asarray(raw)
        else:
            with self.copies:
                stored = self.xp.asarray(raw)
            products = self.xp.cuda.get_current_stream()
            products.wait_event(self.copies.record())
        wide = (stored.view(np.float16) if stored.dtype == np.uint16 else stored).astype(np.float64)
        if self.copies is not None:
            self.copies.wait_event(products.record())
        return wide

    def candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """Bring the candidates to the host: those whose upper bound reaches the k-th best lower bound."""
        scores, columns, dropped = (_to_numpy(a) for a in self.kept)
        twice = 2 * self.error.astype(np.float64)
        bound = np.full(len(scores), -np.inf)
        if scores.shape[1] >= self.k:
            bound = np.partition(scores, -self.k, axis=1)[:, -self.k].astype(np.float64)
        bound = np.maximum(bound - twice, self.batch.least - twice / 2)
        wanted = (scores >= bound[:, None]) & (scores > -np.inf)
        counts = wanted.sum(axis=1)
        order = np.argsort(~wanted, axis=1, kind="stable")
        missed = (dropped >= bound) & (dropped > -np.inf)
        return np.take_along_axis(columns, order, axis=1), np.where(missed, -1, counts)


def _best(xp: Any, scores: Any, n: int) -> tuple[Any, Any, Any]:
    """Return the n largest of each line, in no order, their places, and the largest of the others."""
    if scores.shape[1] <= n:
        places = xp.broadcast_to(xp.arange(scores.shape[1]), scores.shape)
        return scores, places, xp.full(len(scores), -np.inf, np.float32)
    places = _largest(xp, scores, n + 1)
    best = xp.take_along_axis(scores, places, axis=1)
    last = xp.argmin(best, axis=1)[:, None]
    others = xp.arange(n) + (xp.arange(n) >= last)
    left_out = xp.take_along_axis(best, last, axis=1)[:, 0]
    return xp.take_along_axis(best, others, axis=1), xp.take_along_axis(places, others, axis=1), left_out


def _largest(xp: Any, scores: Any, n: int) -> Any:
    """Return the places of the n largest scores of each line, in no order."""
    if xp is np:
        return np.argpartition(scores, -n, axis=1)[:, -n:]
    # CuPy partitions by sorting; torch selects, and reads the same memory.
    import torch

    return xp.from_dlpack(torch.topk(torch.from_dlpack(scores), n, dim=1, sorted=False).indices)


def _to_numpy(array: Any) -> np.ndarray:
    return array.get() if hasattr(array, "get") else array
