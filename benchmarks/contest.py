"""What the benchmarks of the lookup share: vectors, stores of them, the bare product, cold files, peaks, and tables.

Vectors are drawn with the mean and the covariance of real ones (UniRep's, beside the repository) where those are found,
else with a decaying spectrum and a common direction, as language models have them. Rounds go through all contenders in
turn, so that a busy machine slows all of them alike; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from fantasia_dask.schema import Space
from fantasia_dask.store import EmbeddingStore, StoreWriter, open_store
from fantasia_dask.stored import StoredBlock

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "embeddings"
MODEL = "Bench"
BATCH = 1024
TILE = 4096
BLOCK = 4096 * 8  # rows drawn at once


# Arguments and the machine -----------------------------------------------------------------------------------------


def arguments(description: str, **sizes: int) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes, and an option for each size of this one."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="a small job, in under a minute")
    parser.add_argument("--folder", type=Path, help="where data sets are kept, and found again; by default temporary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dimensions", type=int, default=1024)
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    return parser


@contextmanager
def folder_of(given: Path | None) -> Iterator[Path]:
    """Yield the folder of the data sets; one that nobody gave is gone afterwards."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="fantasia-dask-bench-") as folder:
        yield Path(folder)


def usable_threads() -> int:
    return len(os.sched_getaffinity(0))


def print_machine() -> None:
    """Print on what and when this was measured."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    load = os.getloadavg()[0]
    print(
        f"{date.today()}, {model[1] if model else platform.machine()}, {usable_threads()} cores, load {load:.1f}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )


# Vectors -------------------------------------------------------------------------------------------------------------


def drawing(d: int) -> tuple[str, Callable[[int, int, int], np.ndarray]]:
    """Return the kind of vectors, and a function of (rows, seed, block) that draws them: shape (rows, d), float16."""
    real = _real(d)
    if real is None:
        spectrum = np.arange(1, d + 1, dtype="f4") ** -0.5
        return "synthetic vectors", lambda n, seed, block: (
            np.random.default_rng([seed, block]).standard_normal((n, d), "f4") * spectrum + 0.5 * spectrum
        ).astype("f2")
    mean = real.mean(axis=0)
    values, directions = np.linalg.eigh(np.cov(real, rowvar=False))
    turn = (np.sqrt(np.maximum(values, 0))[:, None] * directions.T).astype("f4")
    return f"vectors with the covariance of {len(real):,} real ones", lambda n, seed, block: (
        np.random.default_rng([seed, block]).standard_normal((n, d), "f4") @ turn + mean
    ).astype("f2")


def _real(d: int) -> np.ndarray | None:
    files = sorted(REAL.glob("*_unirep256.npz"))
    if not files:
        return None
    found = np.concatenate([np.load(file)["all_mean"] for file in files]).astype("f4")
    return found if found.shape[1] == d else None


def store_of(folder: Path, name: str, n: int, d: int, seed: int, sequences: Sequence[str] | None = None) -> Path:
    """Return the path of a store of n vectors, written a block at a time unless it is there."""
    path = folder / f"{name}-{n}x{d}.zarr"
    if path.exists():
        return path
    kind, draw = drawing(d)
    space = Space(MODEL, 0, d, "clean", dtype="float16")
    print(f"writing {n:,} x {d} {kind} ({n * d * 2 / 1e9:.2f} GB) to {path.name}", flush=True)
    ids = [f"{name[0].upper()}{i:07d}" for i in range(n)]
    with StoreWriter(path, ids=ids, sequences=sequences or [""] * n, spaces=[space]) as writer:
        for block, start in enumerate(range(0, n, BLOCK)):
            writer.write(space, start, draw(min(BLOCK, n - start), seed, block))
    return path


def in_memory(store: EmbeddingStore, rows: int | None = None) -> np.ndarray:
    """Read the first rows of a store, shape (rows, d); by default all of them."""
    return store.stored(MODEL, 0)[: len(store) if rows is None else min(rows, len(store))]


def forget(path: Path) -> None:
    """Drop a folder from the system's cache of files, so that it is read from the disk again."""
    for file in path.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# Contenders ----------------------------------------------------------------------------------------------------------


def product(queries: np.ndarray, reference: np.ndarray, threads: int) -> None:
    """The ceiling: nothing but the float32 product, tile by tile, one BLAS thread in each of some threads."""
    columns = np.array_split(np.arange(len(reference)), threads)

    def work(mine: np.ndarray) -> None:
        if not len(mine):
            return
        out, part = np.empty((BATCH, TILE), "f4"), reference[mine[0] : mine[-1] + 1]
        for j in range(0, len(part), TILE):
            tile = part[j : j + TILE]
            for i in range(0, len(queries), BATCH):
                batch = queries[i : i + BATCH]
                np.matmul(batch, tile.T, out=out.ravel()[: len(batch) * len(tile)].reshape(len(batch), len(tile)))

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, columns))


def tiles(
    queries: np.ndarray | StoredBlock,
    reference: np.ndarray | StoredBlock,
    threads: int,
    k: int,
    *,
    keep: np.ndarray | None = None,
    apart: tuple[np.ndarray, np.ndarray] | None = None,
    **how: object,
) -> None:
    """The kernel without Dask: one block of the reference for each thread, in memory or in files."""
    from fantasia_dask.lookup.kernel import tile_hits

    def work(rows: np.ndarray) -> None:
        mine = slice(int(rows[0]), int(rows[-1]) + 1)
        filters = {} if keep is None else {"keep": keep[mine]}
        if apart is not None:
            filters |= {"q_labels": apart[0], "r_labels": apart[1][mine]}
        block = StoredBlock(reference.array, mine) if isinstance(reference, StoredBlock) else reference[mine]
        tile_hits(queries, block, rows, k=k, **filters, **how)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [cut for cut in np.array_split(np.arange(len(reference)), threads) if len(cut)]))


def pointers(queries: Path, reference: Path, q: int, r: int) -> tuple[StoredBlock, StoredBlock]:
    """Point to the first q and r rows of two stores."""
    return tuple(
        StoredBlock(open_store(path).stored(MODEL, 0), slice(0, n)) for path, n in ((queries, q), (reference, r))
    )


def look_up(client: object, queries: Path, q: int, reference: Path, r: int, k: int) -> np.ndarray:
    """Look the first q queries up in the first r rows of a reference, both on disk, as a run does it.

    `client` may be "threads": Dask's scheduler without a cluster.
    """
    from fantasia_dask.lookup import nearest_neighbours, plan_lookup
    from fantasia_dask.pipeline.neighbours import task_budget

    asked, donors = open_store(queries), open_store(reference)
    plan = plan_lookup(
        q,
        r,
        donors.spaces[0].dimension,
        k=k,
        query_itemsize=2,
        reference_itemsize=2,
        budget=None if client == "threads" else task_budget(client),
        threads=usable_threads() if client == "threads" else sum(client.nthreads().values()),
    )
    hits = nearest_neighbours(
        asked.pointers(MODEL, 0, plan.query_rows, np.arange(q)),
        donors.pointers(MODEL, 0, plan.reference_rows, np.arange(r)),
        k=k,
        batch_size=plan.batch_size,
    )
    if client == "threads":
        return hits.compute(scheduler="threads", num_workers=usable_threads())
    return client.compute(hits).result()


@contextmanager
def workers(count: int, threads: int, memory_limit: int | str) -> Iterator[object]:
    """Start worker processes, which `connect` does for more than one only, and yield a client."""
    from distributed import Client, LocalCluster

    where = "127.0.0.1:0"
    with (
        tempfile.TemporaryDirectory(prefix="fantasia-dask-bench-") as spilled,
        LocalCluster(
            n_workers=count,
            threads_per_worker=threads,
            memory_limit=memory_limit,
            processes=True,
            host="127.0.0.1",
            local_directory=spilled,
            dashboard_address=where,
            worker_dashboard_address=where,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def warm_up(path: Path) -> None:
    """Load in this process what a lookup needs, and compile its loops, or fetch them; one vector is read."""
    few = in_memory(open_store(path), 1)
    for metric in ("cosine", "euclidean"):
        tiles(few, few, 1, 1, metric=metric)


def peak_bytes() -> int:
    """Return the largest resident size that this process has had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


# Measurement ---------------------------------------------------------------------------------------------------------


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time every way once per round, in turn; return the seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = perf_counter()
            way()
            seconds[name].append(perf_counter() - begun)
    return seconds


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median and the range of some ratios."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} – {max(values):.{digits}f})"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown, its columns below one another."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    print()
    for line in [header, ["-" * max(3, width) for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(max(3, width)) for cell, width in zip(line, widths, strict=True)) + " |")
    print(flush=True)
