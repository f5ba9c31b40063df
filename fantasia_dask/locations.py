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

__all__ = ["as_path", "check_writable", "existing_above", "is_remote", "is_url", "reachable"]

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""What begins a URL; a drive's letter alone does not."""

FLATTENED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""What `Path` makes of it."""


def is_url(path: str | os.PathLike[str]) -> bool:
    """Tell whether what is given as a path is a URL, even if it has been through `Path`.

    Examples
    --------
    >>> is_url(Path("https://example.org/go.obo")), is_url("references/ants")
    (True, False)
    """
    return bool(FLATTENED.match(os.fspath(path)))


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
    if "::" in text:
        raise InputError(f"{text} is a chain of addresses: expected one; unpack what is in an archive first.")
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
    except (OSError, TypeError) as error:  # what opens zip:// and the like reads at once, and wants to know what
        raise InputError(f"{text} cannot be opened ({error}): expected s3://, https:// or a path.") from error
    return cast(Path, found)


def is_remote(path: object) -> bool:
    """Tell whether a place that `as_path` returned is a URL."""
    return hasattr(path, "storage_options")


def existing_above(path: Path) -> Path:
    """Return a path, or the nearest above it that is there, as far as this user can see.

    Examples
    --------
    >>> existing_above(Path("/no such folder/downloads"))
    PosixPath('/')
    """
    path = path.absolute()
    # Path.exists raises, up to Python 3.13, where a folder is closed
    return next(place for place in (path, *path.parents) if os.path.exists(place))  # noqa: PTH110


def check_writable(folder: Path, remedy: str) -> None:
    """Refuse a folder in which nothing can be made, before any work is done for it.

    Parameters
    ----------
    folder
        Need not be there: it is then made too.
    remedy : str
        What can be done.

    Raises
    ------
    InputError
        If it, or what is there of the path to it, is no folder or cannot be written.
    """
    above = existing_above(folder)
    named = "it" if above == folder.absolute() else above
    if not above.is_dir():
        raise InputError(f"nothing can be made in {folder}, as {named} is no folder: {remedy}.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"nothing can be made in {folder}, as {named} is not writable: {remedy}.")


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
