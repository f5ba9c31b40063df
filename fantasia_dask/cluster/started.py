"""Clusters of this machine: its cores, or its GPUs."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import InputError

__all__ = [
    "LOOPBACK",
    "bound_device_memory",
    "cuda_cluster",
    "failures_told_once",
    "forget_closed",
    "local_cluster",
    "served",
    "usable_cores",
    "visible_gpus",
]

LOOPBACK = "127.0.0.1"


def usable_cores() -> int:
    """Return the cores that this process may use: its affinity and its container's quota, not what the machine has.

    Examples
    --------
    >>> usable_cores() >= 1
    True
    """
    from dask.system import cpu_count

    return max(1, int(cpu_count()))


def local_cluster(
    workers: int | None, threads: int | None, memory_limit: int | str | None, folder: str, dashboard: bool
) -> Any:
    """One worker of many threads shares the reference between them; more workers are processes."""
    import dask
    from distributed import LocalCluster

    workers = workers or 1
    settings = {
        "n_workers": workers,
        "threads_per_worker": threads or max(1, usable_cores() // workers),
        "processes": workers > 1,
        "memory_limit": "auto" if memory_limit is None else memory_limit,
        "local_directory": folder,
        **served(dashboard),
    }
    if workers > 1:
        with _spared_interrupts():
            return LocalCluster(host=LOOPBACK, **settings)
    # A paused worker waits for memory to be given back. Within this process much of it belongs to models and to the
    # caller, who give nothing back: the worker would wait for ever. Tasks are cut to fit beforehand instead.
    with dask.config.set({"distributed.worker.memory.pause": False}):
        return LocalCluster(**settings)


def forget_closed() -> None:
    """Let go of schedulers and workers of this process that have closed, with all that they have logged.

    Dask (2026.7) asks once whether a handler takes a connection, and keeps the answer with the handler, a method of
    the scheduler or worker: in a process that starts one cluster after another, the last dozen stay in memory.
    """
    from distributed import core

    forget = getattr(getattr(core, "_expects_comm", None), "cache_clear", None)
    if forget is not None:
        forget()


def cuda_cluster(
    workers: int | None,
    threads: int | None,
    memory_limit: int | str | None,
    device_memory_limit: int | str | None,
    folder: str,
    dashboard: bool,
) -> Any:
    """One worker process per GPU."""
    if importlib.util.find_spec("dask_cuda") is None:
        raise InputError(
            "cluster.kind is cuda, but dask-cuda is not installed: run pip install 'fantasia-dask[cuda13]', "
            "or set cluster.kind: local."
        )
    found = visible_gpus()
    if not found:
        raise InputError("cluster.kind is cuda, but no NVIDIA GPU is visible on this machine: set cluster.kind: local.")
    if workers is not None and workers > found:
        raise InputError(f"cluster.workers is {workers}, but {found} GPUs are visible: expected one worker per GPU.")
    from dask_cuda import LocalCUDACluster

    # dask-cuda has a limit of its own, most of the GPU, where none is given
    budget = {} if device_memory_limit is None else {"device_memory_limit": device_memory_limit}
    with _spared_interrupts():
        return LocalCUDACluster(
            n_workers=workers,
            threads_per_worker=threads or 1,
            host=LOOPBACK,
            memory_limit="auto" if memory_limit is None else memory_limit,
            local_directory=folder,
            **budget,
            **served(dashboard),
        )


@contextmanager
def _spared_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from processes that are started in threads of the ``with`` block, then or later.

    A terminal sends it to all of them at once, and it is for the one alone that ends the others. What a thread has
    blocked its threads and processes inherit; the main thread gets a Ctrl-C that came meanwhile at the end.
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it unblocks signals in the thread that starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def failures_told_once() -> Any:
    """Make a plugin that keeps workers from showing the traceback of a failed task, or of a scheduler that has ended.

    The error of a task comes to the client, which tells it in one sentence, or with the very traceback when it is a
    bug; the scheduler is a part of that process.
    """
    from distributed import WorkerPlugin
    from distributed.comm import CommClosedError

    class FailuresToldOnce(WorkerPlugin):  # type: ignore[misc, unused-ignore]
        name = "failures-told-once"

        def setup(self, worker: Any) -> None:
            logging.getLogger("distributed.worker").addFilter(self.shows)

        def teardown(self, worker: Any) -> None:
            logging.getLogger("distributed.worker").removeFilter(self.shows)

        @staticmethod
        def shows(record: logging.LogRecord) -> bool:
            ended = record.exc_info is not None and isinstance(record.exc_info[1], CommClosedError)
            return not ended and not str(record.msg).startswith("Compute Failed")

    return FailuresToldOnce()


def bound_device_memory(limit: int | str) -> None:
    """Let CuPy take no more of this worker's GPU than that; a tile of the lookup that asks for more is halved."""
    if importlib.util.find_spec("cupy") is None:
        return
    import cupy  # type: ignore[import-not-found, unused-ignore]
    from dask.utils import parse_bytes

    cupy.get_default_memory_pool().set_limit(size=int(parse_bytes(limit)))


def served(dashboard: bool) -> dict[str, Any]:
    """What a local cluster shows over HTTP. Dask serves something in any case, to the whole network unless told."""
    if dashboard and importlib.util.find_spec("bokeh") is None:
        raise InputError(
            "cluster.dashboard is true, but bokeh is not installed: run pip install 'fantasia-dask[dashboard]'."
        )
    here = f"{LOOPBACK}:0"
    return {
        "dashboard_address": here,
        "worker_dashboard_address": here,
        "scheduler_kwargs": {"dashboard": dashboard},
    }


def visible_gpus() -> int:
    """Count the GPUs that dask-cuda could use; 0 without it."""
    if importlib.util.find_spec("dask_cuda") is None or importlib.util.find_spec("pynvml") is None:
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return 0 if visible.strip() in ("", "-1") else len(visible.split(","))
    import pynvml  # type: ignore[import-not-found, unused-ignore]

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:  # no driver, no device
        return 0
