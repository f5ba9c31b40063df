"""Which Dask cluster works: one that is given, one that runs already, or one that is started here.

This is the only folder that makes clients. It closes what it opened and nothing else; every other module takes the
client that it is handed. `started` has the clusters of this machine, `slurm` one whose workers are jobs, `joined`
those that run already, `checks` what is asked of workers before they get work, and `shape` how many there would be.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, did_you_mean
from ..scratch import scratch
from .checks import check_files, check_workers
from .joined import joined
from .shape import Workers, workers_joined, workers_started
from .slurm import slurm_cluster
from .started import (
    bound_device_memory,
    cuda_cluster,
    failures_told_once,
    forget_closed,
    local_cluster,
    usable_cores,
    visible_gpus,
)

if TYPE_CHECKING:
    from distributed import Client, Security

__all__ = ["Workers", "check_files", "connect", "expected_workers", "usable_cores"]

KINDS = ("auto", "local", "cuda", "slurm", "address", "scheduler_file")
PATIENCE = 10.0
"""Seconds in which a cluster that runs already must answer and show a worker."""


@contextmanager
def connect(
    kind: str = "auto",
    *,
    client: Client | None = None,
    address: str | None = None,
    scheduler_file: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    threads_per_worker: int | None = None,
    memory_limit: int | str | None = None,
    device_memory_limit: int | str | None = None,
    slurm: Mapping[str, Any] | None = None,
    security: Mapping[str, str | os.PathLike[str]] | Security | None = None,
    dashboard: bool = False,
    folder: str | os.PathLike[str] = ".",
    tell: Callable[[str], object] = lambda line: None,
) -> Iterator[Client]:
    """Give a client for the time of a ``with`` block, and close what was opened for it.

    Parameters
    ----------
    kind : {"auto", "local", "cuda", "slurm", "address", "scheduler_file"}
        ``"auto"`` takes `client`, `address` or `scheduler_file` where one is given, else the GPUs of this machine where
        there are any (and dask-cuda), else its cores.
    client : Client, optional
        A client that exists already, for instance in a notebook. It is used and left open, and the other arguments
        are ignored.
    address : str, optional
        Where a scheduler listens, for instance ``"tcp://10.0.0.1:8786"``.
    scheduler_file : path, optional
        The JSON file in which a scheduler wrote its address.
    workers, threads_per_worker : int, optional
        Shape of a cluster started here. By default one worker within this process with a thread per usable core, one
        process per GPU, or one SLURM job of one core; more than one worker means processes.
    memory_limit : int or str, optional
        Memory of each worker started here, in bytes or as ``"8GB"``.
    device_memory_limit : int or str, optional
        Memory of each GPU that a worker of a CUDA cluster fills at most: the lookup halves its tiles, and what Dask
        keeps there moves to the host.
    slurm : mapping, optional
        How jobs are asked for: the keys of `fantasia_dask.config.SlurmSettings`.
    security : mapping or Security, optional
        ``ca_file``, ``cert`` and ``key`` (PEM files) for a cluster that speaks TLS.
    dashboard : bool
        Whether a cluster started here serves Dask's dashboard, on the loopback interface and a free port.
    folder : path
        Where SLURM's logs and the certificates of its workers are kept: every node must see it.
    tell : callable
        Is told, in one line, what takes long: jobs wait in a queue.

    Yields
    ------
    Client

    Raises
    ------
    InputError
        If the cluster does not answer, has no worker or other versions than this process within ten seconds, if
        GPUs are asked for and cannot be used, or if SLURM refuses the jobs or ends them before a worker comes.

    Examples
    --------
    >>> with connect("local", threads_per_worker=1) as client:
    ...     client.submit(sum, [1, 2]).result()
    3
    """
    import dask

    deadline = time.monotonic() + PATIENCE
    if client is not None:
        check_workers(client, "the given client", deadline)
        yield client
        return
    kind = _resolved_kind(kind, address, scheduler_file)
    shape = (workers, threads_per_worker, memory_limit)
    with ExitStack() as opened:
        if kind in ("address", "scheduler_file"):
            yield opened.enter_context(joined(address, scheduler_file, security, deadline))
        elif kind == "slurm":
            yield opened.enter_context(slurm_cluster(*shape, slurm or {}, Path(folder), dashboard, tell, PATIENCE))
        else:
            opened.callback(forget_closed)
            # What workers spill: never in the current folder, never at home.
            spilled = str(opened.enter_context(scratch("workers")))
            # The scheduler, which takes no folder as an argument, would leave one of its own behind.
            with dask.config.set({"temporary-directory": spilled}):
                if kind == "cuda":
                    cluster = cuda_cluster(*shape, device_memory_limit, spilled, dashboard)
                else:
                    cluster = local_cluster(*shape, spilled, dashboard)
                opened.enter_context(cluster)
            started = opened.enter_context(_client_of(cluster))
            if kind == "cuda" and device_memory_limit is not None:
                started.run(bound_device_memory, device_memory_limit)
            yield started


@contextmanager
def _client_of(cluster: Any) -> Iterator[Client]:
    from distributed import Client

    with Client(cluster) as client:
        client.register_plugin(failures_told_once())
        yield client


def expected_workers(
    kind: str = "auto",
    *,
    address: str | None = None,
    scheduler_file: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    threads_per_worker: int | None = None,
    memory_limit: int | str | None = None,
    security: Mapping[str, str | os.PathLike[str]] | Security | None = None,
) -> tuple[str, Workers]:
    """Return the kind of cluster that `connect` would give for these arguments, and its workers; nothing is started.

    A cluster that runs already is asked.

    Raises
    ------
    InputError
        If the arguments contradict one another, or the cluster that runs already does not answer.

    Examples
    --------
    >>> expected_workers("local", workers=2, threads_per_worker=1, memory_limit=10**9)
    ('local', Workers(count=2, threads=1, memory_bytes=1000000000, total_threads=2))
    """
    kind = _resolved_kind(kind, address, scheduler_file)
    if kind in ("address", "scheduler_file"):
        return kind, workers_joined(address, scheduler_file, security, PATIENCE)
    return kind, workers_started(kind, workers, threads_per_worker, memory_limit)


def _resolved_kind(kind: str, address: str | None, scheduler_file: str | os.PathLike[str] | None) -> str:
    if kind not in KINDS:
        raise InputError(f"cluster kind {kind!r} is unknown: expected {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}")
    given = {"address": address, "scheduler_file": scheduler_file}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)} are given at once: expected one way to reach a cluster.")
    if named and kind not in ("auto", named[0]):
        raise InputError(f"cluster kind is {kind}, but {named[0]} is given: leave one of them out.")
    if not named and kind in ("address", "scheduler_file"):
        raise InputError(f"cluster kind is {kind}, but no {kind} is given: set cluster.{kind}.")
    if named:
        return named[0]
    return ("cuda" if visible_gpus() else "local") if kind == "auto" else kind
