"""What is asked of workers before they get work: in one sentence now, what would later end a task in a traceback."""

from __future__ import annotations

import hashlib
import os
import pkgutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..errors import InputError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["check_files", "check_workers"]

SAME_EVERYWHERE = ("dask", "distributed")
"""Packages whose versions must agree, as they speak to each other across machines."""
SEEN_WITHIN = 5.0
"""Seconds in which a file that was written here must appear elsewhere: network file systems take a moment."""
HEAD_BYTES = 65_536


def check_workers(client: Client, source: str, deadline: float) -> None:
    """Refuse a cluster without workers, or whose workers are of another environment.

    Parameters
    ----------
    client : Client
    source : str
        What the cluster is called in a sentence.
    deadline : float
        When patience ends, in seconds of `time.monotonic`.

    Raises
    ------
    InputError
        If the client is closed, there is no worker, or a worker does not answer, has other versions or no package.
    """
    from distributed import TimeoutError as NoWorkers

    if client.asynchronous or client.status != "running":
        state = "asynchronous" if client.asynchronous else client.status
        raise InputError(f"{source} is {state}: expected a client that is open and synchronous.")
    try:
        client.wait_for_workers(1, timeout=max(0.1, deadline - time.monotonic()))
    except NoWorkers as error:
        raise InputError(f"{source} has no worker: start at least one (dask worker), then run again.") from error
    versions = _answer(client, client.get_versions, source, deadline)
    for name, answer in {f"{source} itself": versions["scheduler"], **versions["workers"]}.items():
        worker = name if answer is versions["scheduler"] else f"worker {name} of {source}"
        _check_versions(versions["client"], answer, worker)
    # a function of the standard library is found on every worker; one of ours might not be
    ask = pkgutil.resolve_name, "fantasia_dask._version:__version__"
    for name, version in _ask_workers(client, *ask, source=source, deadline=deadline).items():
        _check_package(version, f"worker {name} of {source}")


def _answer(client: Client, question: Callable[[], Any], source: str, deadline: float) -> Any:
    """Ask, but not for ever: a worker that is frozen, or cannot be reached by the scheduler, never answers."""

    async def asked() -> Any:
        return await question()  # on the client's own loop a client answers with a coroutine

    patience = max(1.0, deadline - time.monotonic())
    try:
        return client.sync(asked, callback_timeout=patience)
    except TimeoutError as error:
        raise InputError(
            f"a worker of {source} does not answer: check that all of its {len(client.nthreads())} workers still run "
            "and that the scheduler reaches them."
        ) from error


def _ask_workers(client: Client, function: Callable[..., Any], *arguments: Any, source: str, deadline: float) -> Any:
    """Run a function on every worker; return its answers, or what it raised, by the worker's address."""
    return _answer(client, lambda: client.run(function, *arguments, on_error="return"), source, deadline)


def _check_versions(ours: Mapping[str, Any], theirs: Mapping[str, Any], worker: str) -> None:
    here, there = _python(ours), _python(theirs)
    if here != there:
        raise InputError(f"{worker} runs Python {there}, this process {here}: use one environment for both.")
    for package in SAME_EVERYWHERE:
        here, there = ours["packages"].get(package), theirs["packages"].get(package)
        if here != there:
            raise InputError(f"{worker} has {package} {there}, this process {here}: use one environment for both.")


def _check_package(version: Any, worker: str) -> None:
    if isinstance(version, ImportError | AttributeError):
        raise InputError(
            f"{worker} cannot import fantasia_dask ({version}): install it in the environment of the workers."
        )
    if isinstance(version, Exception):
        raise InputError(f"{worker} cannot be asked ({version}): start it again, then run again.")
    if version != __version__:
        raise InputError(
            f"{worker} has fantasia-dask {version}, this process {__version__}: use one environment for both."
        )


def _python(versions: Mapping[str, Any]) -> str:
    return ".".join(str(versions["host"]["python"]).split(".")[:2])


# Folders ---------------------------------------------------------------------------------------------------------


def check_files(client: Client, files: Sequence[Path], folder: Path) -> None:
    """Refuse workers that do not see what this process sees, or cannot write where it writes.

    A folder of the same name is not enough, as every node may have one of its own: the files are compared by size and
    by the checksum of their beginning.

    Parameters
    ----------
    client : Client
        Its workers have been checked.
    files : sequence of Path
        Files of the folders that workers will read.
    folder : Path
        A folder in which workers will write.

    Raises
    ------
    InputError
        Naming the worker and the path.
    """
    files = [Path(os.path.abspath(file)) for file in files]  # noqa: PTH100 (a link stays the name that was given)
    here, deadline = _look(files, folder), time.monotonic() + SEEN_WITHIN
    while True:
        answers = _ask_workers(client, _look, files, folder, source="the cluster", deadline=deadline)
        wrong = {worker: seen for worker, seen in answers.items() if seen != here}
        if not wrong:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    worker, seen = next(iter(wrong.items()))
    raise InputError(f"worker {worker} {_difference(files, folder, here, seen)}")


def _difference(files: Sequence[Path], folder: Path, here: Any, seen: Any) -> str:
    shared = "put it on a file system that every worker sees, at the same path."
    if isinstance(seen, Exception):
        return f"cannot read {folder} and {', '.join(map(str, files))} ({seen}): {shared}"
    for file, ours, theirs in zip(files, here[0], seen[0], strict=True):
        if theirs is None:
            return f"does not see {file}: {shared}"
        if theirs != ours:
            return f"sees another file at {file} than this process: {shared}"
    return f"cannot write in {folder}: expected a folder that every worker may write in."


def _look(files: Sequence[Path], folder: Path) -> tuple[list[tuple[int, str] | None], bool]:
    """Tell size and checksum of each file, and whether the folder can be written in; runs on a worker."""
    return [_fingerprint(file) for file in files], os.access(folder, os.W_OK)


def _fingerprint(file: Path) -> tuple[int, str] | None:
    try:
        with file.open("rb") as opened:
            return os.fstat(opened.fileno()).st_size, hashlib.sha256(opened.read(HEAD_BYTES)).hexdigest()
    except FileNotFoundError:
        return None
