"""Counts of numbers that pass by once, whatever their range."""

from __future__ import annotations

import numpy as np

__all__ = ["Histogram"]

BINS = 2048
NARROWEST = 2.0**-16


class Histogram:
    """Counts of non-negative numbers in equal bins from 0 upwards, which double in width when a number lies beyond.

    The counts depend on the numbers alone, not on their order or on how they were cut into pieces: a wider bin is two
    narrower ones.

    Parameters
    ----------
    columns : int
        Classes that are counted apart, for instance of a second quantity.

    Attributes
    ----------
    width : float
        Of a bin, in the unit of the numbers.
    counts : int64 array, shape (BINS, columns)

    Examples
    --------
    >>> histogram = Histogram()
    >>> histogram.add(np.array([0.1, 0.1, 0.3, 7.0]))
    >>> histogram.total, histogram.width, histogram.quantile(0.5)
    (4, 0.00390625, 0.099609375)
    """

    def __init__(self, columns: int = 1) -> None:
        self.width = NARROWEST
        self.counts = np.zeros((BINS, columns), dtype=np.int64)

    def add(self, values: np.ndarray, column: np.ndarray | int = 0) -> None:
        """Count numbers, each in its column; below 0 counts as 0."""
        if not len(values):
            return
        values = np.maximum(np.asarray(values, dtype="float64"), 0.0)
        while values.max() >= self.width * BINS:
            merged = self.counts.reshape(BINS // 2, 2, -1).sum(axis=1)
            self.counts = np.concatenate([merged, np.zeros_like(merged)])
            self.width *= 2
        columns = self.counts.shape[1]
        place = (values / self.width).astype(np.int64) * columns + column
        self.counts += np.bincount(place, minlength=BINS * columns).reshape(BINS, columns)

    @property
    def total(self) -> int:
        """How many numbers were counted."""
        return int(self.counts.sum())

    def quantile(self, share: float, column: int | None = None) -> float:
        """Return the middle of the bin below whose end lies this share of the numbers; NaN where there are none."""
        counts = self.counts.sum(axis=1) if column is None else self.counts[:, column]
        cumulative = np.cumsum(counts)
        if not cumulative[-1]:
            return float("nan")
        place = int(np.searchsorted(cumulative, max(share * cumulative[-1], 1)))
        return (place + 0.5) * self.width

    def share_below(self) -> tuple[np.ndarray, np.ndarray]:
        """Return 0 and the ends of the bins that matter, and the share of the numbers below each."""
        counts = self.counts.sum(axis=1)
        filled = np.flatnonzero(counts)
        if not len(filled):
            return np.empty(0), np.empty(0)
        ends = np.r_[[0] if filled[0] else [], filled[0] : filled[-1] + 2].astype(np.int64)
        below = np.concatenate([[0], np.cumsum(counts)])[ends]
        return ends * self.width, below / counts.sum()

    def bars(self, width: float) -> np.ndarray:
        """Return the counts in wider bars from 0 upwards; `width` is a power of two times the width of a bin."""
        step = max(round(width / self.width), 1)
        return self.counts.sum(axis=1)[: BINS // step * step].reshape(-1, step).sum(axis=1)
