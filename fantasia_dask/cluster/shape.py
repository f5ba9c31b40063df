"""How many workers a cluster has, or would have, and what each can hold: known without starting one."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .joined import joined
from .started import usable_cores, visible_gpus

if TYPE_CHECKING:
    from distributed import Client, Security

__all__ = ["Workers", "workers_joined", "workers_started"]


@dataclass(frozen=True)
class Workers:
    """The workers of a cluster.

    Attributes
    ----------
    count : int
    threads : int
        Of each; where workers differ, of the one with the most.
    memory_bytes : int or None
        Of each; where workers differ, the least. None where nothing limits them.
    total_threads : int
    """

    count: int
    threads: int
    memory_bytes: int | None
    total_threads: int


def workers_started(kind: str, workers: int | None, threads: int | None, memory_limit: int | str | None) -> Workers:
    """Return the workers that a cluster of this kind would have if it were started here.

    Examples
    --------
    >>> workers_started("local", 2, 1, 10**9)
    Workers(count=2, threads=1, memory_bytes=1000000000, total_threads=2)
    """
    from distributed.worker_memory import parse_memory_limit

    if kind == "local":
        count = workers or 1
        threads = threads or max(1, usable_cores() // count)
    else:
        count, threads = workers or (visible_gpus() if kind == "cuda" else 0) or 1, threads or 1
    limit = "auto" if memory_limit is None else memory_limit
    if kind == "slurm" and isinstance(memory_limit, int):
        memory = memory_limit  # of another machine: this one's memory is no bound
    else:
        memory = parse_memory_limit(limit, threads, logger=logging.getLogger(__name__))
    return Workers(count, threads, memory, count * threads)


def workers_joined(
    address: str | None,
    scheduler_file: str | os.PathLike[str] | None,
    security: Mapping[str, str | os.PathLike[str]] | Security | None,
    patience: float,
) -> Workers:
    """Ask a cluster that runs already for its workers.

    Raises
    ------
    InputError
        As `connect` does.
    """
    with joined(address, scheduler_file, security, time.monotonic() + patience) as client:
        return _of(client)


def _of(client: Client) -> Workers:
    found = list(client.scheduler_info(n_workers=-1)["workers"].values())
    threads = [worker["nthreads"] for worker in found]
    limits = [worker["memory_limit"] for worker in found if worker["memory_limit"]]
    return Workers(len(found), max(threads), min(limits, default=None), sum(threads))
