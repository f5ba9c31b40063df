"""The lookup against the bare matrix product and against other ways to find the k nearest, in one run.

Every contender looks up the same queries in the same reference (real-sized: 124,000 x 1,024), on the same number of
threads; the rounds go through all contenders in turn, so that a busy machine slows all of them alike. The table gives
the median seconds and the median of the ratio to the product of the same round.

    python benchmarks/lookup.py --quick
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

BATCH = 1024
TILE = 4096
CDIST_QUERIES = 20  # cdist takes a minute for what the others do in a second: it gets a part, and is scaled


def vectors(n: int, d: int, seed: int) -> np.ndarray:
    """Draw vectors with a decaying spectrum and a common direction, as those of language models have."""
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, d + 1) ** -0.5
    return (rng.standard_normal((n, d), dtype="f4") * spectrum + 0.5 * spectrum).astype("f2")


def in_threads(work: Callable[[int], None], parts: int, threads: int) -> None:
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(parts)))


def product(queries: np.ndarray, reference: np.ndarray, threads: int) -> None:
    """The ceiling: nothing but the float32 product, tile by tile."""
    columns = np.array_split(np.arange(len(reference)), threads)

    def work(part: int) -> None:
        mine = reference[columns[part][0] : columns[part][-1] + 1]
        out = np.empty((BATCH, TILE), "f4")
        for j in range(0, len(mine), TILE):
            tile = mine[j : j + TILE]
            for i in range(0, len(queries), BATCH):
                batch = queries[i : i + BATCH]
                np.matmul(batch, tile.T, out=out[: len(batch), : len(tile)])

    in_threads(work, threads, threads)


def ours(queries: np.ndarray, reference: np.ndarray, threads: int, k: int, metric: str) -> np.ndarray:
    """`nearest_neighbours` on Dask's threaded scheduler."""
    import dask
    import dask.array as da

    from fantasia_dask.lookup import nearest_neighbours, plan_lookup

    plan = plan_lookup(len(queries), len(reference), queries.shape[1], k=k, threads=threads, reference_itemsize=2)
    hits = nearest_neighbours(
        da.from_array(queries, chunks=(plan.query_rows, -1), name=False),
        da.from_array(reference, chunks=(plan.reference_rows, -1), name=False),
        k=k,
        metric=metric,
    )
    with dask.config.set(scheduler="threads", num_workers=threads):
        return hits.compute()["row"]


def by_torch(queries: np.ndarray, reference: np.ndarray, threads: int, k: int) -> None:
    import torch

    torch.set_num_threads(threads)
    q = torch.nn.functional.normalize(torch.from_numpy(queries))
    r = torch.nn.functional.normalize(torch.from_numpy(reference))
    for i in range(0, len(q), BATCH):
        torch.topk(q[i : i + BATCH] @ r.T, k, dim=1)


def by_sklearn(queries: np.ndarray, reference: np.ndarray, threads: int, k: int, metric: str) -> None:
    from sklearn.neighbors import NearestNeighbors

    with threadpool_limits(threads):
        NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(reference).kneighbors(queries)


def by_cdist(queries: np.ndarray, reference: np.ndarray, k: int, metric: str) -> None:
    """As FANTASIA does it: float64 distances, a full sort."""
    from scipy.spatial.distance import cdist

    np.argsort(cdist(queries[:CDIST_QUERIES].astype("f8"), reference.astype("f8"), metric), axis=1)[:, :k]


def by_faiss(queries: np.ndarray, reference: np.ndarray, threads: int, k: int) -> None:
    import faiss

    faiss.omp_set_num_threads(threads)
    q, r = queries.copy(), reference.copy()
    faiss.normalize_L2(q)
    faiss.normalize_L2(r)
    index = faiss.IndexFlatIP(q.shape[1])
    index.add(r)
    index.search(q, k)


def contenders(
    q32: np.ndarray, r16: np.ndarray, r32: np.ndarray, threads: int, k: int, metric: str
) -> dict[str, tuple[Callable[[], object], float]]:
    """Name every way to do it, with the factor by which its work falls short of the whole."""
    ways: dict[str, tuple[Callable[[], object], float]] = {
        "bare product": (lambda: product(q32, r32, threads), 1.0),
        "fantasia-dask": (lambda: ours(q32, r16, threads, k, metric), 1.0),
        "scikit-learn brute": (lambda: by_sklearn(q32, r32, threads, k, metric), 1.0),
        "scipy cdist + argsort": (lambda: by_cdist(q32, r32, k, metric), len(q32) / CDIST_QUERIES),
    }
    if metric == "cosine":
        ways["torch matmul + topk"] = (lambda: by_torch(q32, r32, threads, k), 1.0)
        try:
            import faiss  # noqa: F401

            ways["faiss IndexFlatIP"] = (lambda: by_faiss(q32, r32, threads, k), 1.0)
        except ImportError:
            print("(faiss-cpu is not installed and left out)")
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small job, in under a minute")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--references", type=int, default=124_000)
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-k", type=int, nargs="+", default=[1, 5, 50])
    parser.add_argument("--metric", nargs="+", default=["cosine", "euclidean"])
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.queries, arguments.references, arguments.rounds, arguments.k = 500, 30_000, 3, [5]
    q32 = vectors(arguments.queries, arguments.dimensions, 0).astype("f4")
    r16 = vectors(arguments.references, arguments.dimensions, 1)
    r32 = r16.astype("f4")
    print(
        f"{arguments.queries} queries x {arguments.references} x {arguments.dimensions}, {arguments.threads} threads, "
        f"{arguments.rounds} rounds, {platform.machine()}, NumPy {np.__version__}"
    )
    for metric in arguments.metric:
        for k in arguments.k:
            ways = contenders(q32, r16, r32, arguments.threads, k, metric)
            ours(q32[:8], r16[:100], arguments.threads, k, metric)  # compile
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(arguments.rounds):
                for name, (way, factor) in ways.items():
                    begun = perf_counter()
                    way()
                    seconds[name].append((perf_counter() - begun) * factor)
            print(f"\n{metric}, k = {k}\n{'':<24}{'seconds':>9}{'/ product':>11}{'spread':>17}")
            for name, times in seconds.items():
                ratios = sorted(a / b for a, b in zip(times, seconds["bare product"], strict=True))
                spread = f"{ratios[0]:.2f} .. {ratios[-1]:.2f}"
                print(f"{name:<24}{median(times):9.2f}{median(ratios):11.3f}{spread:>17}", flush=True)


if __name__ == "__main__":
    main()
