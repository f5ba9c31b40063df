"""How the lookup grows: its cost per pair of query and donor, from ten thousand references to millions.

One axis is varied at a time, from files that are in the system's cache. What should stay flat is the last column: time
per pair against the bare float32 product on as many threads, timed in the same round.

    python benchmarks/scaling.py --folder /scratch/bench
    python benchmarks/scaling.py --quick
"""

from __future__ import annotations

from time import perf_counter

from contest import (
    arguments,
    folder_of,
    in_memory,
    look_up,
    print_machine,
    print_table,
    product,
    spread,
    store_of,
    warm_up,
    workers,
)

from fantasia_dask.store import open_store

PRODUCT_ROWS = 32_768
PRODUCT_QUERIES = 2_048


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--references", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 4_000_000])
    parser.add_argument("--queries", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("-k", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.references, options.queries, options.rounds = [10_000, 40_000], [100, 1_000], 2
    print_machine()
    middle_q, middle_r = middle(options.queries), middle(options.references)
    shapes = [(r, middle_q) for r in options.references] + [(middle_r, q) for q in options.queries if q != middle_q]
    lines = []
    with folder_of(options.folder) as folder:
        reference = store_of(folder, "reference", max(options.references), options.dimensions, 1)
        queries = store_of(folder, "queries", max(options.queries), options.dimensions, 2)
        q32 = in_memory(open_store(queries), PRODUCT_QUERIES).astype("f4")
        r32 = in_memory(open_store(reference), PRODUCT_ROWS).astype("f4")
        for count in options.workers:
            with workers(count, 1, "auto") as client:
                client.run(warm_up, reference)
                for r, q in shapes:
                    lines.append(measured(client, queries, q, reference, r, q32, r32, count, options))
    print_table(("workers", "references", "queries", "seconds", "ns per pair", "÷ bare product"), lines)


def middle(sizes: list[int]) -> int:
    """Return the size at which an axis stays: the whole then takes minutes, not hours."""
    return sorted(sizes)[(len(sizes) - 1) // 2]


def measured(client, queries, q, reference, r, q32, r32, count, options) -> list[str]:
    """Time one shape in some rounds; return a line of the table."""
    seconds, ratios = [], []
    for _ in range(options.rounds):
        begun = perf_counter()
        look_up(client, queries, q, reference, r, options.k)
        seconds.append(perf_counter() - begun)
        begun = perf_counter()
        product(q32, r32, count)
        bare = (perf_counter() - begun) / (len(q32) * len(r32))
        ratios.append(seconds[-1] / (q * r) / bare)
    pairs = [second / (q * r) * 1e9 for second in seconds]
    return [str(count), f"{r:,}", f"{q:,}", spread(seconds), spread(pairs, 3), spread(ratios)]


if __name__ == "__main__":
    main()
