"""Distances themselves, for looking at: between whatever queries and donors are asked for, exact, and lazy.

The lookup never makes this matrix. Each number equals the one that the lookup stores for the pair, bit for bit: both
are summed by the same loop in the same order.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["distances_between"]

BLOCK = (1024, 4096)
"""Queries and donors of one block: 32 MB of float64."""


def distances_between(
    queries: da.Array, reference: da.Array, *, metric: str = "cosine", pairwise: bool = False
) -> da.Array:
    """Return the distance of every query to every donor, or of pairs.

    Parameters
    ----------
    queries : dask array, shape (q, d), float16 or float32
    reference : dask array, shape (r, d), float16 or float32
        Of the same model, layer and profile.
    metric : {"cosine", "euclidean"}
    pairwise : bool
        Whether row i of one side is compared with row i of the other alone; q and r are then equal.

    Returns
    -------
    dask array, shape (q, r), or (q,) when pairwise, float64
        NaN where a vector holds NaN, as those of proteins without a vector do.

    Raises
    ------
    InputError
        If the shapes do not fit, or the metric is unknown.

    Examples
    --------
    >>> import dask.array as da
    >>> x = da.from_array(np.eye(3, dtype="float32"))
    >>> distances_between(x[:1], x).compute()
    array([[0., 1., 1.]])
    >>> distances_between(x, x, metric="euclidean", pairwise=True).compute()
    array([0., 0., 0.])
    """
    import dask.array as da

    from .nomination import METRICS

    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}: expected {' or '.join(METRICS)}.")
    if queries.ndim != 2 or reference.ndim != 2 or queries.shape[1] != reference.shape[1]:
        raise InputError(
            f"the two sides have shapes {queries.shape} and {reference.shape}: expected (q, d) and (r, d) with one d."
        )
    if pairwise and len(queries) != len(reference):
        raise InputError(f"{len(queries)} queries and {len(reference)} donors are no pairs: expected as many of each.")
    q_rows, r_rows = (BLOCK[0], BLOCK[0]) if pairwise else BLOCK
    compute = partial(_pairs if pairwise else _block, euclidean=metric == "euclidean")
    return da.blockwise(
        compute,
        "q" if pairwise else "qr",
        queries.rechunk((q_rows, -1)),
        "qd",
        reference.rechunk((r_rows, -1)),
        "qd" if pairwise else "rd",
        dtype=np.float64,
        concatenate=True,
        meta=np.empty((0,) if pairwise else (0, 0)),
    )


def _block(queries: np.ndarray, reference: np.ndarray, *, euclidean: bool) -> np.ndarray:
    from .compiled.scoring import block_distances
    from .donors import raw_bits

    out = np.empty((len(queries), len(reference)))
    block_distances(raw_bits(queries), raw_bits(reference), euclidean, out)
    return out


def _pairs(queries: np.ndarray, reference: np.ndarray, *, euclidean: bool) -> np.ndarray:
    from .compiled.scoring import pair_distances
    from .donors import raw_bits

    out = np.empty(len(queries))
    pair_distances(raw_bits(queries), raw_bits(reference), euclidean, out)
    return out
