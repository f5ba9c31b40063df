"""Keep k: the total order of hits, and the merge of two answers.

A hit is smaller than another when its distance is, or at equal distance when its row is. The order is total,
so merging partial answers gives the same k whatever the shape of the tree that merges them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..schema import HIT, NO_DONOR

__all__ = ["empty_hits", "merge_hits", "sort_hits"]


def empty_hits(q: int, k: int) -> np.ndarray:
    """Return an answer without any donor: shape (q, k), dtype HIT.

    Examples
    --------
    >>> empty_hits(1, 2)
    array([[(inf, -1), (inf, -1)]], dtype=[('distance', '<f8'), ('row', '<i8')])
    """
    hits = np.empty((q, k), HIT)
    hits["distance"] = np.inf
    hits["row"] = NO_DONOR
    return hits


def sort_hits(hits: np.ndarray) -> np.ndarray:
    """Sort each query's hits by distance, then by row; "no donor" comes last.

    Parameters
    ----------
    hits : array, shape (q, n), dtype HIT

    Returns
    -------
    array, shape (q, n), dtype HIT
    """
    # "No donor" has an infinite distance, and no real hit has: it sorts last on distance alone.
    order = np.lexsort((hits["row"], hits["distance"]), axis=-1)
    return np.take_along_axis(hits, order, axis=-1)


def merge_hits(hits: np.ndarray, axis: int | tuple[int, ...] = -1, keepdims: bool = True, *, k: int) -> np.ndarray:
    """Keep the k best of several answers laid side by side.

    Serves as chunk, combine and aggregate step of `dask.array.reduction`, hence its arguments.

    Parameters
    ----------
    hits : array, shape (q, n), dtype HIT
        Answers of any number of tiles, concatenated along the last axis.
    k : int
        Hits kept per query.

    Returns
    -------
    array, shape (q, min(k, n)), dtype HIT

    Examples
    --------
    >>> a = np.array([[(0.5, 7), (0.1, 9), (0.5, 2)]], dtype=HIT)
    >>> merge_hits(a, k=2)["row"]
    array([[9, 2]])
    """
    return sort_hits(hits)[:, :k]


def hits_from(distance: Any, row: Any) -> np.ndarray:
    """Pair distances and rows of equal shape into HIT records."""
    hits = np.empty(np.shape(distance), HIT)
    hits["distance"] = distance
    hits["row"] = row
    return hits
