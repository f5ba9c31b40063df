"""The donors of one block of the reference: read ahead of the product, a chunk at a time, prepared tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import InputError
from .nomination import TILE_ROWS, Tile, inverse

__all__ = ["Donors", "NonFiniteVectorError", "finite_squares", "raw_bits", "used_again"]

_thread = threading.local()


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


def raw_bits(vectors: np.ndarray) -> np.ndarray:
    """View float16 as its bits, which is how the compiled loops read it; anything else becomes float32."""
    vectors = np.ascontiguousarray(vectors)
    return vectors.view(np.uint16) if vectors.dtype == np.float16 else vectors.astype(np.float32, copy=False)


def finite_squares(raw: np.ndarray, side: str, rows: np.ndarray) -> np.ndarray:
    """Return the squared float64 norms of vectors, shape (n,), or raise at the first that is not finite."""
    from .compiled.scoring import squared_norms

    squares = np.empty(len(raw))
    squared_norms(raw, squares)
    wrong = np.flatnonzero(~np.isfinite(squares))
    if wrong.size:
        raise NonFiniteVectorError(side, int(rows[wrong[0]]))
    return squares


def used_again(shape: tuple[int, int], dtype: Any) -> np.ndarray:
    """Return memory for a block of vectors: the same as this thread was given last, if that is large enough.

    Whoever asks must have done with what it was given before. A lookup reads one block after the other, and to fill
    fresh memory, which the system clears first, costs several times as much as to read into this.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if getattr(_thread, "memory", np.empty(0, np.uint8)).nbytes < size:
        _thread.memory = None  # not both at once
        _thread.memory = np.empty(size, np.uint8)
    memory: np.ndarray = _thread.memory[:size]
    return memory.view(dtype).reshape(shape)


class Donors:
    """The donors of one block that may answer.

    Parameters
    ----------
    reference : array, or pointer into a store, shape (n, d), float16 or float32
        A pointer is read a chunk at a time, by a thread of its own that is one chunk ahead, and only where a donor
        may answer.
    chosen : int array, shape (m,)
        Which rows of the block may answer, in ascending order.
    rows, labels : int64 arrays, shape (m,)
        Their numbers within the whole reference, and their cluster labels.
    metric : str
    largest : float
        Largest norm of the queries.
    memory : callable, optional
        Gives memory of a shape and dtype for the vectors that are read; by default fresh memory.

    Attributes
    ----------
    raw : array, shape (m, d), uint16 (the bits of float16) or float32
        The vectors as stored; whole after the last tile.
    squares : float64 array, shape (m,)
        Room for their squared norms: negative until `exact_hits` needs them.
    scale : float
        What vectors are multiplied with before euclidean distances are estimated.
    """

    def __init__(
        self,
        reference: Any,
        chosen: np.ndarray,
        rows: np.ndarray,
        labels: np.ndarray,
        metric: str,
        largest: float,
        memory: Callable[[tuple[int, int], Any], np.ndarray] = np.empty,
    ):
        m, d = len(chosen), reference.shape[1]
        self.reference, self.chosen, self.rows, self.labels, self.metric = reference, chosen, rows, labels, metric
        self.squares = np.full(m, -1.0)
        in_memory = isinstance(reference, np.ndarray)
        if in_memory and m == len(reference):
            self.raw = raw_bits(reference)
        else:
            self.raw = memory((m, d), np.uint16 if reference.dtype == np.float16 else np.float32)
        self._ready: Iterator[int] = self._read(in_memory)
        self.scale = 1.0 if metric == "cosine" else self._scale(largest)

    def _scale(self, largest: float) -> float:
        """Return a power of two, which moves no digit, that keeps squares of huge or tiny vectors within float32."""
        if self.raw.dtype == np.uint16:
            peak = max(largest, 65504.0 * self.raw.shape[1] ** 0.5)
        else:
            self._ready = iter([*self._ready])  # the largest norm must be known: float32 may hold anything
            peak = max(largest, float(np.sqrt(finite_squares(self.raw, "reference", self.rows).max())))
        return float(2.0 ** -np.frexp(peak)[1]) if peak > 0 else 1.0

    def _read(self, in_memory: bool) -> Iterator[int]:
        """Fill `raw` from the front; yield how far it is filled."""
        if in_memory:
            if len(self.chosen) < len(self.reference):
                self.raw[:] = raw_bits(self.reference)[self.chosen]
            yield len(self.chosen)
            return
        pieces = self.reference.pieces(TILE_ROWS)
        cuts = pairwise(np.searchsorted(self.chosen, pieces).tolist())
        spans = [(first, last, start) for (first, last), start in zip(cuts, pieces, strict=False) if last > first]
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
            ahead = reader.submit(self._fetch, *spans[0])
            for i, (_, last, _) in enumerate(spans):
                ahead.result()
                if i + 1 < len(spans):
                    ahead = reader.submit(self._fetch, *spans[i + 1])
                yield last

    def _fetch(self, first: int, last: int, start: int) -> None:
        """Read the chunk in which donors first .. last lie, which begins at row `start` of the block."""
        here, out = self.chosen[first:last] - start, self.raw[first:last].view(self.reference.dtype)
        begins, n = start + int(here[0]), int(here[-1] - here[0]) + 1
        if n == len(here):
            self.reference.read_into(out, begins)
        else:
            out[:] = self.reference[begins : begins + n][here - here[0]]

    def tiles(self) -> Iterator[Tile]:
        """Yield the donors, at most `TILE_ROWS` at a time."""
        first, buffer = 0, np.empty((min(TILE_ROWS, len(self.chosen)), self.raw.shape[1]), np.float32)
        for ready in self._ready:
            # A short tile would waste the product: it waits for the next chunk, unless there is none.
            while ready - first >= TILE_ROWS or (ready == len(self.chosen) and ready > first):
                last = min(first + TILE_ROWS, ready)
                yield self._tile(first, last, buffer[: last - first])
                first = last

    def _tile(self, first: int, last: int, vectors: np.ndarray) -> Tile:
        from .compiled.preparation import prepare

        raw, labels, norms = self.raw[first:last], self.labels[first:last], np.empty(last - first)
        prepare(raw, self.metric == "cosine", self.scale, vectors, norms)
        if not np.isfinite(norms).all():
            finite_squares(raw, "reference", self.rows[first:last])
        if self.metric == "cosine":
            return Tile(raw, vectors, inverse(norms), np.empty(0, np.float32), first, 1.0, labels)
        norms *= self.scale
        penalty = (norms**2 / 2).astype(np.float32)
        return Tile(raw, vectors, np.full(len(norms), self.scale), penalty, first, float(norms.max()), labels)
