"""How fast this machine looks up: a few tiles of the real kernel, timed on real chunks of a reference."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from ..stored import StoredArray

__all__ = ["Speed", "calibrate"]

MOST_QUERIES = 2048  # enough for a tile to be prepared as seldom as it is in a run
WARMING_QUERIES = 256  # enough for a tile to go every way that it goes in a run
CHUNKS = 4  # enough for the bounds to be as tight as they are in a run, nearly


@dataclass(frozen=True)
class Speed:
    """What a calibration found.

    Attributes
    ----------
    pairs_per_second : float
        Pairs of query and donor that one thread compares while the others work too.
    bytes_per_second : float
        Read from the reference; much when the file is in the system's cache.
    threads : int
        Threads that worked at once.
    """

    pairs_per_second: float
    bytes_per_second: float
    threads: int


def calibrate(
    reference: StoredArray, present: np.ndarray, *, q: int, threads: int, seconds: float, how: Mapping[str, Any]
) -> Speed:
    """Read chunks from the middle of the reference and look vectors of their own up in them for some seconds.

    Parameters
    ----------
    reference : StoredArray, shape (r, d)
    present : bool array, shape (r,)
        Rows that hold a vector.
    q : int
        Queries of the run: a few are compared no faster than they would be.
    threads : int
        Tiles that run at once.
    seconds : float
    how : mapping
        Further arguments of `tile_hits`: k, metric, batch_size.

    Raises
    ------
    InputError
        If the chunks cannot be read or hold no vector.
    """
    rows = CHUNKS * reference.chunk_rows
    first = max(0, reference.shape[0] - rows) // 2 // reference.chunk_rows * reference.chunk_rows
    begun = perf_counter()
    chunks = reference[first : first + rows]
    reading = perf_counter() - begun
    donors = chunks[present[first : first + len(chunks)] & np.isfinite(chunks).all(axis=1)]
    if not len(donors):
        raise InputError(f"{reference.path} has no vector in rows {first} to {first + len(chunks)}: nothing to time.")
    pairs, working = _time_tiles(donors[: max(1, min(q, MOST_QUERIES))], donors, threads, seconds, how)
    return Speed(pairs / working / threads, chunks.nbytes / reading, threads)


def _time_tiles(
    queries: np.ndarray, donors: np.ndarray, threads: int, seconds: float, how: Mapping[str, Any]
) -> tuple[int, float]:
    """Run tiles side by side until the time is over; return the pairs compared and the seconds taken."""
    from .kernel import tile_hits

    rows = np.arange(len(donors))

    def warm_up(_: int) -> None:  # the loops are compiled, or fetched, and each thread gets its memory
        tile_hits(queries[:WARMING_QUERIES], donors, rows, **how)

    def work(deadline: float) -> int:
        done = 0
        while not done or perf_counter() < deadline:
            tile_hits(queries, donors, rows, **how)
            done += len(queries) * len(donors)
        return done

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(warm_up, range(threads)))
        begun = perf_counter()
        done = sum(pool.map(work, [begun + seconds] * threads))
        return done, perf_counter() - begun
