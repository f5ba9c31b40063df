"""The lookup against the bare matrix product and against other ways to find the k nearest, in one run.

Three tables: the kernel and its peers for each metric and k; the kernel under Dask's schedulers against a plain loop
over it; and the filters. Every contender looks up the same queries in the same reference (real-sized: 123,977 x 1,024)
on the same number of threads: from memory, but for the second table, where all read files in the system's cache.

    python benchmarks/lookup.py
    python benchmarks/lookup.py --quick
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from contest import (
    BATCH,
    arguments,
    folder_of,
    in_memory,
    interleaved,
    look_up,
    pointers,
    print_machine,
    print_table,
    product,
    spread,
    store_of,
    tiles,
    usable_threads,
    warm_up,
    workers,
)
from threadpoolctl import threadpool_limits

from fantasia_dask import connect
from fantasia_dask.store import open_store

CDIST_QUERIES = 20  # cdist takes a minute for what the others do in a second: it gets a part, and is scaled
BARE, LOOP = "bare product", "fantasia-dask, a plain loop"


def main() -> None:
    parser = arguments(__doc__, references=123_977, queries=2_000)
    parser.add_argument("-k", type=int, nargs="+", default=[1, 5, 50])
    parser.add_argument("--metric", nargs="+", default=["cosine", "euclidean"])
    parser.add_argument("--no-peers", action="store_true", help="only the product and the kernel")
    options = parser.parse_args()
    if options.quick:
        options.queries, options.references = min(options.queries, 500), min(options.references, 20_000)
        options.k, options.metric = options.k[1:2] or options.k, options.metric[:1]
    print_machine()
    with folder_of(options.folder) as folder:
        queries = store_of(folder, "queries", options.queries, options.dimensions, 2)
        reference = store_of(folder, "reference", options.references, options.dimensions, 1)
        q16, r16 = (in_memory(open_store(path), n) for path, n in ((queries, options.queries), (reference, None)))
        warm_up(queries)
        kernel_and_peers(q16, r16, options)
        schedulers(queries, reference, options)
        filters(q16, r16, options)


def kernel_and_peers(q16: np.ndarray, r16: np.ndarray, options) -> None:
    threads, q32, r32 = usable_threads(), q16.astype("f4"), r16.astype("f4")
    lines = []
    for metric in options.metric:
        for k in options.k:
            ways: dict[str, Callable[[], object]] = {
                BARE: partial(product, q32, r32, threads),
                "fantasia-dask": partial(tiles, q16, r16, threads, k, metric=metric),
            }
            if not options.no_peers:
                ways |= peers(q32, r32, threads, k, metric)
            seconds = interleaved(ways, options.rounds)
            if "scipy cdist + argsort" in seconds:
                seconds["scipy cdist + argsort"] = [
                    s * len(q32) / min(CDIST_QUERIES, len(q32)) for s in seconds["scipy cdist + argsort"]
                ]
            lines += [(f"{metric}, k = {k}: {name}", *figures) for name, *figures in against(seconds, BARE)]
    print_table(("what", "seconds", "÷ bare product"), lines)


def schedulers(queries: Path, reference: Path, options) -> None:
    """The same tiles as tasks: Dask's threads, a cluster within this process, and two worker processes."""
    threads, k, q, r = usable_threads(), options.k[len(options.k) // 2], options.queries, options.references
    with ExitStack() as opened:
        within = opened.enter_context(connect("local", threads_per_worker=threads))
        apart = opened.enter_context(workers(2, max(1, threads // 2), "auto"))
        apart.run(warm_up, queries)
        ways: dict[str, Callable[[], object]] = {LOOP: partial(tiles, *pointers(queries, reference, q, r), threads, k)}
        for name, client in {"threads": "threads", "one process": within, "two processes": apart}.items():
            ways[f"Dask, {name}"] = partial(look_up, client, queries, q, reference, r, k)
        for way in ways.values():
            way()
        print_table(("what", "seconds", "÷ plain loop"), against(interleaved(ways, options.rounds), LOOP))


def filters(q16: np.ndarray, r16: np.ndarray, options) -> None:
    """What the filters cost, or save."""
    rng, threads, k = np.random.default_rng(3), usable_threads(), options.k[len(options.k) // 2]
    one_in_hundred, a_run = rng.random(len(r16)) < 0.01, np.arange(len(r16)) < len(r16) / 100
    labels = rng.integers(0, len(r16) // 4, len(q16)), rng.integers(0, len(r16) // 4, len(r16))
    ways = {
        "no filter": partial(tiles, q16, r16, threads, k),
        "clusters kept apart": partial(tiles, q16, r16, threads, k, apart=labels),
        "threshold of 0.1": partial(tiles, q16, r16, threads, k, threshold=0.1),
        "1% of the donors, anywhere": partial(tiles, q16, r16, threads, k, keep=one_in_hundred),
        "1% of the donors, side by side": partial(tiles, q16, r16, threads, k, keep=a_run),
    }
    print_table(("filter", "seconds", "÷ no filter"), against(interleaved(ways, options.rounds), "no filter"))


def against(seconds: dict[str, list[float]], ceiling: str) -> list[tuple[str, str, str]]:
    """Return a line for each way: its seconds, and what they are of the ceiling's in the same round."""
    return [
        (name, spread(times), spread([a / b for a, b in zip(times, seconds[ceiling], strict=True)], 3))
        for name, times in seconds.items()
    ]


# Peers ---------------------------------------------------------------------------------------------------------------


def peers(q32: np.ndarray, r32: np.ndarray, threads: int, k: int, metric: str) -> dict[str, Callable[[], object]]:
    ways: dict[str, Callable[[], object]] = {
        "scikit-learn brute": partial(by_sklearn, q32, r32, threads, k, metric),
        "scipy cdist + argsort": partial(by_cdist, q32, r32, k, metric),
        "torch matmul + topk": partial(by_torch, q32, r32, threads, k, metric),
        "faiss flat": partial(by_faiss, q32, r32, threads, k, metric),
    }
    needed = {"scikit-learn brute": "sklearn", "scipy cdist + argsort": "scipy", "faiss flat": "faiss"}
    missing = [name for name, module in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"({', '.join(missing)}: not installed, left out; pip install '.[bench]')")
    return {name: way for name, way in ways.items() if name not in missing}


def by_sklearn(queries: np.ndarray, reference: np.ndarray, threads: int, k: int, metric: str) -> None:
    from sklearn.neighbors import NearestNeighbors

    with threadpool_limits(threads):
        NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(reference).kneighbors(queries)


def by_cdist(queries: np.ndarray, reference: np.ndarray, k: int, metric: str) -> None:
    """As FANTASIA does it: float64 distances, a full sort."""
    from scipy.spatial.distance import cdist

    np.argsort(cdist(queries[:CDIST_QUERIES].astype("f8"), reference.astype("f8"), metric), axis=1)[:, :k]


def by_torch(queries: np.ndarray, reference: np.ndarray, threads: int, k: int, metric: str) -> None:
    import torch

    torch.set_num_threads(threads)
    q, r = torch.from_numpy(queries), torch.from_numpy(reference)
    half = (r * r).sum(1) / 2
    if metric == "cosine":
        q, r = torch.nn.functional.normalize(q), torch.nn.functional.normalize(r)
    for i in range(0, len(q), BATCH):
        scores = q[i : i + BATCH] @ r.T
        torch.topk(scores if metric == "cosine" else scores - half, k, dim=1)


def by_faiss(queries: np.ndarray, reference: np.ndarray, threads: int, k: int, metric: str) -> None:
    """The search alone: an index is made once."""
    import faiss

    faiss.omp_set_num_threads(threads)
    _faiss_index(reference, metric).search(_unit(queries) if metric == "cosine" else queries, k)


_indexes: dict[tuple[int, str], object] = {}


def _faiss_index(reference: np.ndarray, metric: str):
    import faiss

    key = (id(reference), metric)
    if key not in _indexes:
        _indexes.clear()
        made = (faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2)(reference.shape[1])
        made.add(_unit(reference) if metric == "cosine" else reference)
        _indexes[key] = made
    return _indexes[key]


def _unit(vectors: np.ndarray) -> np.ndarray:
    import faiss

    copied = vectors.copy()
    faiss.normalize_L2(copied)
    return copied


if __name__ == "__main__":
    begun = perf_counter()
    main()
    print(f"{perf_counter() - begun:.0f} s in all")
