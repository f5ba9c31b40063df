"""A place to read from: a path on this machine, or a URL that behaves like one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from .errors import InputError

__all__ = ["as_path", "is_remote", "reachable"]

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""What begins a URL; a drive's letter alone does not."""


def as_path(path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Path:
    """Return a path on this machine, or for a URL something with the methods of one.

    Parameters
    ----------
    path
        A path, or a URL of any kind that fsspec knows: ``s3://bucket/reference``, ``https://...``, ``memory://...``.
    storage_options : mapping, optional
        What fsspec needs beside a URL, such as ``{"anon": True}``.

    Raises
    ------
    InputError
        If what reads URLs is not installed, or no such kind of URL is known.

    Examples
    --------
    >>> as_path("references/ants").parts
    ('references', 'ants')
    """
    if is_remote(path):
        return cast(Path, path)
    text = os.fspath(path)
    if not URL.match(text):
        return Path(text)
    try:
        from upath import UPath

        found = UPath(text, **(storage_options or {}))
        _ = found.fs
    except ImportError as error:
        raise InputError(
            f"{text} cannot be read here ({error}): install fantasia-dask with its extra, cloud."
        ) from error
    except ValueError as error:
        raise InputError(
            f"{text} is of no kind that is known ({error}): expected s3://, https:// or a path."
        ) from error
    return cast(Path, found)


def is_remote(path: object) -> bool:
    """Tell whether a place that `as_path` returned is a URL."""
    return hasattr(path, "storage_options")


@contextmanager
def reachable(path: object) -> Iterator[None]:
    """Turn what a network raises for the time of a ``with`` block into one sentence; a path has its errors left."""
    try:
        yield
    except Exception as error:
        if not is_remote(path) or not isinstance(error, (OSError, *_network_errors())):
            raise
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(
            f"{path} cannot be read ({reason}): check the address, the network and your credentials."
        ) from error


def _network_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the clients that are in use; none of them is loaded for the question."""
    known = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"))
    return tuple(getattr(sys.modules[module], name) for module, name in known if module in sys.modules)
