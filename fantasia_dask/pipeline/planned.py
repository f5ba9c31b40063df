"""A plan, and how it is told: what a run would take, in the units that people think in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..schema import Space

if TYPE_CHECKING:
    from ..cluster import Workers
    from ..lookup.calibration import Speed

__all__ = ["RunPlan", "SpacePlan", "in_bytes"]


@dataclass(frozen=True)
class SpacePlan:
    """The lookup in one embedding space.

    Attributes
    ----------
    space : Space
    queries : int
    rows : int
        Of the reference.
    donors : int
        Rows that may answer.
    tasks : int
    task_bytes, worker_bytes : int
        Most memory that one task, and a worker that runs one per thread, holds at once.
    read_bytes : int
        Read from the reference in all; every block of queries reads it once.
    query_bytes, hit_bytes : int
        Vectors of the queries and, at the most, their hits, on disk.
    seconds : float
        Estimated, at the speed of this machine.
    """

    space: Space
    queries: int
    rows: int
    donors: int
    tasks: int
    task_bytes: int
    worker_bytes: int
    read_bytes: int
    query_bytes: int
    hit_bytes: int
    seconds: float


@dataclass(frozen=True)
class RunPlan:
    """What a run would take. Made by `plan_run`; `text` is what ``fantasia-dask plan`` prints.

    Attributes
    ----------
    kind : str
        Of cluster.
    workers : Workers
        Their number, threads and memory.
    spaces : tuple of SpacePlan
        One per model and layer that is looked up.
    speeds : dict
        What the calibration found, by dimension and dtype of the reference.
    proteins, residues : int
        Of the input; no residues where vectors are given.
    models : tuple of str
        Those that would embed; none where vectors are given.
    """

    kind: str
    workers: Workers
    spaces: tuple[SpacePlan, ...]
    speeds: Mapping[tuple[int, str], Speed]
    proteins: int
    residues: int
    models: tuple[str, ...]

    def text(self) -> str:
        """Describe the plan, for the terminal."""
        return "\n".join([*self._of_workers(), *self._of_embedding(), *self._of_lookup()])

    def _of_workers(self) -> list[str]:
        workers = self.workers
        memory = "no limit of memory" if workers.memory_bytes is None else f"{in_bytes(workers.memory_bytes)} of memory"
        return [
            f"{_count(workers.count, 'worker')} ({self.kind}), {_count(workers.threads, 'thread')} and {memory} each"
        ]

    def _of_embedding(self) -> list[str]:
        if not self.models:
            return [f"{_count(self.proteins, 'protein')} with vectors: nothing to embed"]
        return [
            f"{_count(self.proteins, 'protein')}, {_count(self.residues, 'residue')} to embed with "
            f"{', '.join(self.models)}: the time of it depends on model and device, and is not estimated"
        ]

    def _of_lookup(self) -> list[str]:
        if not self.spaces:
            return ["nothing to look up"]
        header = (
            "", "queries", "donors", "of", "d", "tasks", "per task", "per worker", "vectors", "hits", "read", "time",
        )  # fmt: skip
        lines = [
            (
                str(s.space), f"{s.queries:,}", f"{s.donors:,}", f"{s.rows:,}", str(s.space.dimension), f"{s.tasks:,}",
                in_bytes(s.task_bytes), in_bytes(s.worker_bytes), in_bytes(s.query_bytes), in_bytes(s.hit_bytes),
                in_bytes(s.read_bytes), _duration(s.seconds),
            )
            for s in self.spaces
        ]  # fmt: skip
        threads = _count(next(iter(self.speeds.values())).threads, "thread")
        return [
            "",
            *_aligned([header, *lines]),
            "",
            "per task, per worker: memory, at the most. vectors, hits: of queries, on disk. read: from the reference.",
            f"time: {_duration(sum(s.seconds for s in self.spaces))} in all, at the speed of this machine just now:",
            *(
                f"  {speed.pairs_per_second * speed.threads / 1e6:,.0f} million pairs a second by {threads}, "
                f"{in_bytes(speed.bytes_per_second)} a second from disk (d = {d}, {np.dtype(dtype).name})"
                for (d, dtype), speed in self.speeds.items()
            ),
        ]


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Put the cells of a table below one another: the first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]


def _count(n: int, noun: str) -> str:
    """Return a number and its noun.

    Examples
    --------
    >>> _count(1, "worker"), _count(1200, "worker")
    ('1 worker', '1,200 workers')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def in_bytes(n: float) -> str:
    """Return bytes for a reader.

    Examples
    --------
    >>> in_bytes(253_902_848), in_bytes(512)
    ('254 MB', '512 B')
    """
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        if n >= 10**power:
            return f"{n / 10**power:.3g} {unit}" if n < 999.5 * 10**power else f"{n / 10**power:.0f} {unit}"
    return f"{n:.0f} B"


def _duration(seconds: float) -> str:
    """Return seconds for a reader.

    Examples
    --------
    >>> _duration(0.2), _duration(45.2), _duration(600), _duration(20_000)
    ('below 1 s', '45 s', '10 min', '5.6 h')
    """
    if seconds < 1:
        return "below 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
