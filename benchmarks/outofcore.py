"""A reference larger than memory: the lookup from cold files in workers of little memory, against the kernel in memory.

The reference lies on disk (8 GB of float16 at full size), the workers are processes with a limit. Each round drops the
files from the system's cache, looks all queries up, and then times the same kernel on a part of the reference that is
in memory. The peak is the largest resident size of any worker process (VmHWM), interpreter and libraries included.

    python benchmarks/outofcore.py --folder /scratch/bench
    python benchmarks/outofcore.py --quick
"""

from __future__ import annotations

from time import perf_counter

from contest import (
    arguments,
    folder_of,
    forget,
    in_memory,
    look_up,
    peak_bytes,
    print_machine,
    print_table,
    spread,
    store_of,
    tiles,
    usable_threads,
    warm_up,
    workers,
)
from dask.utils import parse_bytes

from fantasia_dask.store import open_store

IN_MEMORY = 100_000
CASES = ((1.0, "1GB"), (0.25, "450MiB"))
"""Part of the reference, and memory of the worker or workers that look it up."""

HEADER = ("references", "on disk", "workers", "limit each", "peak", "÷ limit", "seconds, cold", "rate ÷ in memory")


def main() -> None:
    parser = arguments(__doc__, references=4_000_000, queries=2_000, workers=0)
    parser.add_argument("-k", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.references, options.queries, options.rounds = min(options.references, 100_000), 500, 2
    print_machine()
    count = options.workers or usable_threads()
    lines = []
    with folder_of(options.folder) as folder:
        reference = store_of(folder, "reference", options.references, options.dimensions, 1)
        queries = store_of(folder, "queries", options.queries, options.dimensions, 2)
        for share, limit in CASES:
            r = int(options.references * share)
            lines.append(measured(reference, queries, r, limit, count, options))
    print_table(HEADER, lines)


def measured(reference, queries, r, limit, count, options) -> list[str]:
    """Look up in the first r rows; return a line of the table."""
    q, k, d = options.queries, options.k, options.dimensions
    asked, part = in_memory(open_store(queries), q), in_memory(open_store(reference), min(r, IN_MEMORY))
    warm_up(reference)
    seconds, rates = [], []
    with workers(count, 1, limit) as client:
        client.run(warm_up, reference)
        for _ in range(options.rounds):
            forget(reference)
            begun = perf_counter()
            look_up(client, queries, q, reference, r, k)
            seconds.append(perf_counter() - begun)
            begun = perf_counter()
            tiles(asked, part, count, k)
            rates.append((r / seconds[-1]) / (len(part) / (perf_counter() - begun)))
        peak = max(client.run(peak_bytes).values())
    size, allowed = r * d * 2, parse_bytes(limit)
    return [
        f"{r:,} x {d}",
        f"{size / 1e9:.2f} GB",
        str(count),
        limit,
        f"{peak / 2**20:.0f} MiB",
        f"{peak / allowed:.2f}",
        spread(seconds),
        spread(rates),
    ]


if __name__ == "__main__":
    main()
