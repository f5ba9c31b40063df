"""The lazy graph of the lookup: tiles of queries times reference, then a tree that keeps k.

One task reads a block of the reference and a block of queries, multiplies them tile by tile and returns the block's
own k best per query; `dask.array.reduction` merges these along the reference. The q x r matrix never exists, and
the graph carries pointers into stores, masks and labels, never vectors.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..schema import HIT
from .topk import merge_hits

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["nearest_neighbours"]

DEVICES = ("auto", "cpu", "cuda")


def nearest_neighbours(
    queries: da.Array,
    reference: da.Array,
    *,
    k: int = 5,
    metric: str = "cosine",
    threshold: float | None = None,
    keep: np.ndarray | None = None,
    apart: tuple[np.ndarray, np.ndarray] | None = None,
    asked: np.ndarray | None = None,
    q_rows: np.ndarray | None = None,
    batch_size: int = 1024,
    split_every: int = 8,
    device: str = "auto",
) -> da.Array:
    """Find the `k` reference rows closest to each query.

    Lazy: nothing is read until the result is computed. The answer is the same, bit for bit, for every chunking,
    `batch_size`, `split_every`, scheduler and number of workers: candidates are nominated by a float32 product whose
    error is bounded, scored again in float64, and ordered by distance, then by row.

    Parameters
    ----------
    queries : dask array, shape (q, d), float16 or float32
        One row per query protein. Chunked along q only. Blocks may be pointers into a store
        (`EmbeddingStore.pointers`), here and in `reference`: the task that needs them reads them, ahead of the product.
    reference : dask array, shape (r, d), float16 or float32
        One row per donor, made by the same model, layer and profile as `queries`. Chunked along r only; blocks
        of 16,000 to 32,000 rows keep the overhead of tasks near 1%.
    k : int
        Neighbours kept per query; fewer come back when r < k.
    metric : {"cosine", "euclidean"}
        Cosine distance lies in [0, 2], and is 1 from and to a zero vector; euclidean is in embedding units.
    threshold : float, optional
        Largest distance kept. Applied before k is cut.
    keep : bool array, shape (r,), optional
        Donors allowed to answer, for instance after a taxonomy filter. The others may hold NaN.
    apart : pair of int arrays, shapes (q,) and (r,), optional
        Cluster labels. A query and a donor with the same label are never paired; a negative label is like no other.
    asked : bool array, shape (q,), optional
        Queries that have a vector. The others may hold NaN and get no donor.
    q_rows : int64 array, shape (q,), optional
        Numbers of the queries, for messages; by default 0 .. q-1.
    batch_size : int
        Queries multiplied at once within a task, at most.
    split_every : int
        Answers merged by one task of the tree.
    device : {"auto", "cpu", "cuda"}
        Where candidates are nominated: ``auto`` takes the GPU of the worker where there is one, and CuPy. The answer is
        the same.

    Returns
    -------
    dask array, shape (q, min(k, r)), dtype HIT
        Sorted by distance, then by row. Row -1, at infinite distance, marks "no donor left".

    Raises
    ------
    InputError
        If the two arrays differ in d, the metric or device is unknown, or `k` or `batch_size` is below 1; when
        computed, if a GPU is asked for and a worker has none.
    NonFiniteVectorError
        When computed, if a vector that takes part holds NaN or infinity.

    References
    ----------
    Littmann et al. (2021) Embeddings from deep learning transfer GO annotations beyond homology. Scientific
    Reports 11, 1160.

    Examples
    --------
    >>> import dask.array as da
    >>> donors = da.from_array(np.eye(4, dtype="float32"), chunks=(2, 4))
    >>> nearest_neighbours(donors[:1], donors, k=2).compute()["row"]
    array([[0, 1]])
    """
    import dask.array as da

    _check(queries, reference, k, metric, threshold, batch_size, device)
    (q, d), r = queries.shape, reference.shape[0]
    queries, reference = queries.rechunk({1: d}), reference.rechunk({1: d})
    if q == 0 or r == 0:
        return da.zeros((q, min(k, r)), dtype=HIT, chunks=(queries.chunks[0], (min(k, r),)))
    along_q, along_r = queries.chunks[0], reference.chunks[0]
    q_labels, r_labels = apart if apart is not None else (None, None)
    tiles = da.blockwise(
        partial(
            _tile,
            k=k,
            metric=metric,
            threshold=np.inf if threshold is None else threshold,
            batch_size=batch_size,
            device=device,
        ),
        "qr",
        queries,
        "qd",
        reference,
        "rd",
        *_blocked(np.arange(q) if q_rows is None else q_rows, along_q, "q", q, "q_rows"),
        da.arange(r, chunks=(along_r,), dtype="int64"),
        "r",
        *_blocked(asked, along_q, "q", q, "asked"),
        *_blocked(keep, along_r, "r", r, "keep"),
        *_blocked(q_labels, along_q, "q", q, "apart[0]"),
        *_blocked(r_labels, along_r, "r", r, "apart[1]"),
        adjust_chunks={"r": k},
        concatenate=None,  # d is one block: concatenating it would copy the vectors
        align_arrays=False,
        dtype=HIT,
        meta=np.empty((0, 0), HIT),
    )
    keep_k = partial(merge_hits, k=k)
    hits = da.reduction(
        tiles,
        chunk=_as_it_is,
        combine=keep_k,
        aggregate=keep_k,
        axis=1,
        keepdims=True,
        output_size=k,
        split_every={1: split_every},
        dtype=HIT,
        meta=np.empty((0, 0), HIT),
        concatenate=True,
    )
    return hits[:, : min(k, r)]


def _check(
    queries: da.Array, reference: da.Array, k: int, metric: str, threshold: float | None, batch_size: int, device: str
) -> None:
    from .nomination import METRICS

    if queries.ndim != 2 or reference.ndim != 2 or queries.shape[1] != reference.shape[1]:
        raise InputError(
            f"queries have shape {queries.shape} and the reference {reference.shape}: expected (q, d) and (r, d) "
            "with one d. Use vectors of the same model and layer."
        )
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}: expected {' or '.join(METRICS)}.")
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}: expected {', '.join(DEVICES)}.")
    if k < 1 or batch_size < 1:
        raise InputError(f"k is {k} and batch_size {batch_size}: both must be at least 1.")
    if threshold is not None and not threshold >= 0:
        raise InputError(f"the distance threshold is {threshold}: expected a number that is not negative.")


def _as_it_is(hits: np.ndarray, axis: Any, keepdims: bool) -> np.ndarray:
    return hits


def _blocked(values: np.ndarray | None, chunks: tuple[int, ...], axis: str, n: int, name: str) -> tuple[Any, Any]:
    """Cut a mask or labels like the rows that they belong to."""
    import dask.array as da

    if values is None:
        return None, None
    if np.shape(values) != (n,):
        raise InputError(f"{name} has shape {np.shape(values)}: expected ({n},), one value per row.")
    return da.from_array(np.asarray(values), chunks=(chunks,)), axis


def _tile(
    queries: list[Any],
    reference: list[Any],
    q_rows: np.ndarray,
    rows: np.ndarray,
    asked: np.ndarray | None,
    keep: np.ndarray | None,
    q_labels: np.ndarray | None,
    r_labels: np.ndarray | None,
    device: str,
    **how: Any,
) -> np.ndarray:
    """Run `tile_hits`, imported where it runs: the client needs no compiler. Lists hold the one block along d."""
    from .kernel import tile_hits

    return tile_hits(
        queries[0],
        reference[0],
        rows,
        asked=asked,
        keep=keep,
        q_labels=q_labels,
        r_labels=r_labels,
        q_rows=q_rows,
        xp=_namespace(device),
        **how,
    )


def _namespace(device: str) -> Any:
    """Return CuPy where this worker is to multiply on a GPU, else None."""
    if device == "cpu":
        return None
    try:
        import cupy  # type: ignore[import-not-found, unused-ignore]

        found = cupy.cuda.is_available()
    except ImportError:
        found = False
    if not found and device == "cuda":
        raise InputError(
            "the lookup was asked to run on a GPU (embedding.device: cuda), and a worker has no GPU or no CuPy: "
            "install fantasia-dask[cuda13] there, or set embedding.device: auto."
        )
    return cupy if found else None
