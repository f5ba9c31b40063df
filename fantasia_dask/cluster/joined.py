"""Clusters that run already: joined, checked, and left running."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .checks import check_workers

if TYPE_CHECKING:
    from distributed import Client, Security

__all__ = ["joined"]

NOT_ANSWERED = (OSError, ValueError, TypeError, RuntimeError, AssertionError, MemoryError, EOFError)
"""What comes of knocking at a wrong door; another service's bytes may be read as the size of a huge message."""


@contextmanager
def joined(
    address: str | None,
    scheduler_file: str | os.PathLike[str] | None,
    security: Mapping[str, str | os.PathLike[str]] | Security | None,
    deadline: float,
) -> Iterator[Client]:
    """Join a cluster, and leave it running afterwards."""
    from distributed import Client

    place = address if address is not None else _read_scheduler_file(Path(os.fspath(scheduler_file or "")), deadline)
    source = f"the scheduler at {place}"
    certificates = _security(security)
    _knock(place, certificates, source, deadline)
    with Client(place, timeout=max(1.0, deadline - time.monotonic()), security=certificates) as client:
        check_workers(client, source, deadline)
        yield client


def _knock(place: str, certificates: Any, source: str, deadline: float) -> None:
    """Ask a scheduler who it is. A client that fails to connect leaves threads behind, so it comes second."""
    with ThreadPoolExecutor(1) as thread:  # a notebook's own thread runs an event loop already
        answer = thread.submit(lambda: asyncio.run(_identity(place, certificates, deadline)))
    try:
        found = answer.result()
    except NOT_ANSWERED as error:
        raise InputError(
            f"{source} cannot be reached from {platform.node()} ({_reason(error)}): check that it runs, that the "
            "address is right, and whether it speaks TLS (cluster.security), with these certificates."
        ) from error
    if not (isinstance(found, Mapping) and found.get("type") == "Scheduler"):
        raise InputError(f"{place} answers, but is no Dask scheduler: check the address.")


def _reason(error: BaseException) -> str:
    """Return the reason in a few words; Dask wraps it in its own, and names both ends of the connection."""
    told = str(error.__cause__ or error).strip()
    return re.sub(r"^in <[^>]*>: ", "", told).split("\n")[0].split(". ")[0] or type(error).__name__


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
    security = Security(
        tls_ca_file=str(files["ca_file"]),
        tls_client_cert=str(files["cert"]),
        tls_client_key=str(files["key"]),
        require_encryption=True,
    )
    try:
        security.get_connection_args("client")
    except OSError as error:  # OpenSSL's errors are among them
        raise InputError(
            f"cluster.security ({', '.join(map(str, files.values()))}) cannot be used ({error}): expected PEM files of "
            "the authority's certificate, a certificate that it signed, and the key of that."
        ) from error
    return security
