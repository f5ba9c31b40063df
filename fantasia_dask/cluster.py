"""Which Dask cluster works: one that is given, one that runs already, or one that is started here.

This is the only module that makes clients. It closes what it opened and nothing else; every other module takes the
client that it is handed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import pkgutil
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import InputError, did_you_mean
from .stopping import last_act

if TYPE_CHECKING:
    from distributed import Client, Security

__all__ = ["connect", "usable_cores"]

KINDS = ("auto", "local", "cuda", "address", "scheduler_file")
LOOPBACK = "127.0.0.1"
PATIENCE = 10.0
"""Seconds in which a cluster that runs already must answer and show a worker."""
NOT_ANSWERED = (OSError, ValueError, TypeError, RuntimeError, AssertionError, MemoryError, EOFError)
"""What comes of knocking at a wrong door; another service's bytes may be read as the size of a huge message."""
SAME_EVERYWHERE = ("dask", "distributed")
"""Packages whose versions must agree, as they speak to each other across machines."""


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
    security: Mapping[str, str | os.PathLike[str]] | Security | None = None,
    dashboard: bool = False,
) -> Iterator[Client]:
    """Give a client for the time of a ``with`` block, and close what was opened for it.

    Parameters
    ----------
    kind : {"auto", "local", "cuda", "address", "scheduler_file"}
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
        Shape of a cluster started here. By default one worker within this process with a thread per usable core, or one
        process per GPU; more than one worker means processes.
    memory_limit : int or str, optional
        Memory of each worker started here, in bytes or as ``"8GB"``.
    security : mapping or Security, optional
        ``ca_file``, ``cert`` and ``key`` (PEM files) for a cluster that speaks TLS.
    dashboard : bool
        Whether a cluster started here serves Dask's dashboard, on the loopback interface and a free port.

    Yields
    ------
    Client

    Raises
    ------
    InputError
        If the cluster does not answer, has no worker or other versions than this process within ten seconds, or if
        GPUs are asked for and cannot be used.

    Examples
    --------
    >>> with connect("local", threads_per_worker=1) as client:
    ...     client.submit(sum, [1, 2]).result()
    3
    """
    import dask

    if client is not None:
        _check_workers(client, "the given client", time.monotonic() + PATIENCE)
        yield client
        return
    kind = _resolved_kind(kind, address, scheduler_file)
    with ExitStack() as opened:
        if kind in ("address", "scheduler_file"):
            yield opened.enter_context(_joined(address, scheduler_file, security))
        else:
            folder = opened.enter_context(_scratch())
            start = _cuda_cluster if kind == "cuda" else _local_cluster
            # The scheduler, which takes no folder as an argument, would leave one of its own behind.
            with dask.config.set({"temporary-directory": folder}):
                cluster = opened.enter_context(start(workers, threads_per_worker, memory_limit, folder, dashboard))
            yield opened.enter_context(_client_of(cluster))


def usable_cores() -> int:
    """Return the cores that this process may use: its affinity and its container's quota, not what the machine has.

    Examples
    --------
    >>> usable_cores() >= 1
    True
    """
    from dask.system import cpu_count

    return max(1, int(cpu_count()))


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
    return ("cuda" if _gpus() else "local") if kind == "auto" else kind


# Clusters started here -------------------------------------------------------------------------------------------


@contextmanager
def _scratch() -> Iterator[str]:
    """A folder for what workers spill: never the current folder, never home, and gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="fantasia-dask-", ignore_cleanup_errors=True) as folder,
        last_act(partial(shutil.rmtree, folder, ignore_errors=True)),
    ):
        yield folder


@contextmanager
def _client_of(cluster: Any) -> Iterator[Client]:
    from distributed import Client

    with Client(cluster) as client:
        yield client


def _local_cluster(
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
        **_served(dashboard),
    }
    if workers > 1:
        return LocalCluster(host=LOOPBACK, **settings)
    # A paused worker waits for memory to be given back. Within this process much of it belongs to models and to the
    # caller, who give nothing back: the worker would wait for ever. Tasks are cut to fit beforehand instead.
    with dask.config.set({"distributed.worker.memory.pause": False}):
        return LocalCluster(**settings)


def _cuda_cluster(
    workers: int | None, threads: int | None, memory_limit: int | str | None, folder: str, dashboard: bool
) -> Any:
    """One worker process per GPU."""
    if importlib.util.find_spec("dask_cuda") is None:
        raise InputError(
            "cluster.kind is cuda, but dask-cuda is not installed: run pip install 'fantasia-dask[cuda13]', "
            "or set cluster.kind: local."
        )
    found = _gpus()
    if not found:
        raise InputError("cluster.kind is cuda, but no NVIDIA GPU is visible on this machine: set cluster.kind: local.")
    if workers is not None and workers > found:
        raise InputError(f"cluster.workers is {workers}, but {found} GPUs are visible: expected one worker per GPU.")
    from dask_cuda import LocalCUDACluster

    return LocalCUDACluster(
        n_workers=workers,
        threads_per_worker=threads or 1,
        host=LOOPBACK,
        memory_limit="auto" if memory_limit is None else memory_limit,
        local_directory=folder,
        **_served(dashboard),
    )


def _served(dashboard: bool) -> dict[str, Any]:
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


def _gpus() -> int:
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


# Clusters that run already ---------------------------------------------------------------------------------------


@contextmanager
def _joined(
    address: str | None,
    scheduler_file: str | os.PathLike[str] | None,
    security: Mapping[str, str | os.PathLike[str]] | Security | None,
) -> Iterator[Client]:
    """Join a cluster, and leave it running afterwards."""
    from distributed import Client

    deadline = time.monotonic() + PATIENCE
    place = address if address is not None else _read_scheduler_file(Path(os.fspath(scheduler_file or "")), deadline)
    source = f"the scheduler at {place}"
    certificates = _security(security)
    _knock(place, certificates, source, deadline)
    with Client(place, timeout=PATIENCE, security=certificates) as client:
        _check_workers(client, source, deadline)
        yield client


def _knock(place: str, certificates: Any, source: str, deadline: float) -> None:
    """Ask a scheduler who it is. A client that fails to connect leaves threads behind, so it comes second."""
    with ThreadPoolExecutor(1) as thread:  # a notebook's own thread runs an event loop already
        answer = thread.submit(lambda: asyncio.run(_identity(place, certificates, deadline)))
    try:
        found = answer.result()
    except NOT_ANSWERED as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"{source} cannot be reached from {platform.node()} ({reason}): check that it runs, that the address is "
            "right, and whether it speaks TLS (cluster.security)."
        ) from error
    if not (isinstance(found, Mapping) and found.get("type") == "Scheduler"):
        raise InputError(f"{place} answers, but is no Dask scheduler: check the address.")


async def _identity(place: str, certificates: Any, deadline: float) -> Any:
    from distributed import Security
    from distributed.core import rpc

    arguments = (certificates or Security()).get_connection_args("client")
    patience = max(0.5, deadline - time.monotonic())
    async with rpc(place, timeout=patience, connection_args=arguments) as scheduler:
        return await asyncio.wait_for(scheduler.identity(), patience)


def _read_scheduler_file(path: Path, deadline: float) -> str:
    """Return the address in a scheduler file; on a batch system it may appear a moment later."""
    while not path.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: expected the file of a scheduler, "
            f"started with dask scheduler --scheduler-file {path}."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not the file of a scheduler ({error}): expected JSON with an address.") from error
    address = content.get("address") if isinstance(content, dict) else None
    if not isinstance(address, str):
        raise InputError(f"{path} is not the file of a scheduler: expected JSON with an address.")
    return address


def _security(given: Mapping[str, str | os.PathLike[str]] | Security | None) -> Any:
    from distributed import Security

    if given is None or isinstance(given, Security):
        return given
    files = {name: Path(path) for name, path in given.items()}
    for name, path in files.items():
        if not path.is_file():
            raise InputError(f"cluster.security.{name} is {path}, which does not exist: expected a PEM file.")
    return Security(
        tls_ca_file=str(files["ca_file"]),
        tls_client_cert=str(files["cert"]),
        tls_client_key=str(files["key"]),
        require_encryption=True,
    )


def _check_workers(client: Client, source: str, deadline: float) -> None:
    """Find out now, in one sentence, what would otherwise end the first task in a traceback."""
    from distributed import TimeoutError as NoWorkers

    if client.asynchronous or client.status != "running":
        state = "asynchronous" if client.asynchronous else client.status
        raise InputError(f"{source} is {state}: expected a client that is open and synchronous.")
    try:
        client.wait_for_workers(1, timeout=max(0.1, deadline - time.monotonic()))
    except NoWorkers as error:
        raise InputError(f"{source} has no worker: start at least one (dask worker), then run again.") from error
    versions = client.get_versions()
    for worker, answer in versions["workers"].items():
        _check_versions(versions["client"], answer, f"worker {worker} of {source}")
    # a function of the standard library is found on every worker; one of ours might not be
    found = client.run(pkgutil.resolve_name, "fantasia_dask._version:__version__", on_error="return")
    for worker, version in found.items():
        _check_package(version, f"worker {worker} of {source}")


def _check_versions(ours: Mapping[str, Any], theirs: Mapping[str, Any], worker: str) -> None:
    here, there = _python(ours), _python(theirs)
    if here != there:
        raise InputError(f"{worker} runs Python {there}, this process {here}: use one environment for both.")
    for package in SAME_EVERYWHERE:
        here, there = ours["packages"].get(package), theirs["packages"].get(package)
        if here != there:
            raise InputError(f"{worker} has {package} {there}, this process {here}: use one environment for both.")


def _check_package(version: Any, worker: str) -> None:
    if isinstance(version, Exception):
        raise InputError(
            f"{worker} cannot import fantasia_dask ({version}): install it in the environment of the workers."
        )
    if version != __version__:
        raise InputError(
            f"{worker} has fantasia-dask {version}, this process {__version__}: use one environment for both."
        )


def _python(versions: Mapping[str, Any]) -> str:
    return ".".join(str(versions["host"]["python"]).split(".")[:2])
