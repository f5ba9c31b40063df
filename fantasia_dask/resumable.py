"""One file over HTTP, taken up where the connection broke: the downloader that pooch is given."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    import requests

__all__ = ["HEADERS", "TIMEOUT_S", "Resumable", "reason", "unreachable"]

TIMEOUT_S = (15, 60)
"""Seconds to wait for a connection, and for the next bytes."""

TRIES = 3
"""Connections in a row that may bring nothing."""

PAUSE_S = 2.0
CHUNK_BYTES = 1 << 16
"""Read at once; what of it has come when the connection breaks is lost."""
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "fantasia-dask"}
"""Bytes as they are stored: a range of a stream that is packed on the way means nothing."""

RANGE_NOT_SATISFIABLE, PARTIAL_CONTENT, SERVER_ERROR = 416, 206, 500
WEB_PAGE = (b"<!doctype html", b"<html")


class Resumable:
    """Keep what has come of a file until it is whole.

    Parameters
    ----------
    part
        Where it is kept.
    size : int or None
        Bytes that are expected, if that is known.
    checked : bool
        Whether the whole is compared with a checksum later: the rest may then come from a server that does not tell
        one version of a file from another.
    advance : callable
        Told how many more MB are there.
    """

    def __init__(self, part: Path, size: int | None, *, checked: bool, advance: Callable[[int], None]):
        self._part = part
        self._mark = part.with_name(part.name + ".mark")
        self._size = size
        self._checked = checked
        self._advance = advance
        self._told = 0

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Fetch into the part, from where it ends, until it is whole; then hand it over."""
        import requests

        failures = 0
        while True:
            before = self._have
            try:
                self._get(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                failures = 0 if self._have > before else failures + 1
                if failures >= TRIES:
                    if self._have:
                        remedy = (
                            "takes it up there"
                            if self._noted or self._checked
                            else "begins anew, as the server tells no version of the file; with its sha256 it goes on"
                        )
                        raise InputError(
                            f"{url} broke off after {self._have} bytes ({reason(error)}): the same command {remedy}."
                        ) from error
                    raise unreachable(url, error) from error
                time.sleep(PAUSE_S)
        shutil.move(self._part, output_file)
        self._mark.unlink(missing_ok=True)

    @property
    def _have(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    @property
    def _noted(self) -> str:
        """What the server called the version that was begun; empty where it does not say."""
        return self._mark.read_text(encoding="utf-8") if self._mark.is_file() else ""

    def _get(self, url: str) -> None:
        """Ask for what is missing, once."""
        import requests

        have, headers = self._have, dict(HEADERS)
        mark = self._noted
        if have and (mark or self._checked):
            headers["Range"] = f"bytes={have}-"
            if mark:
                # Only the rest of the very file that was begun; the server sends the whole of another one.
                headers["If-Range"] = mark
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == RANGE_NOT_SATISFIABLE:
                if answer.headers.get("Content-Range", "").endswith(f"/{have}"):
                    return
                self._forget()
                raise requests.ConnectionError("what was begun is no part of it")
            if answer.status_code >= SERVER_ERROR:
                raise requests.ConnectionError(f"the server answers {answer.status_code} {answer.reason}")
            if not answer.ok:
                raise InputError(f"{url} answers {answer.status_code} {answer.reason}: check the address.")
            continued = answer.status_code == PARTIAL_CONTENT
            if continued and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                self._forget()
                raise requests.ConnectionError("the server sends another part than was asked for")
            self._receive(answer, have if continued else 0)

    def _receive(self, answer: requests.Response, have: int) -> None:
        """Write what comes behind what is there."""
        import requests

        told = answer.headers.get("Content-Length", "")
        total = have + int(told) if told.isdecimal() else None
        self._check(answer, total, have)
        if not have:
            mark = answer.headers.get("ETag", "")
            # A weak mark says that two versions mean the same, not that they are the same bytes.
            mark = answer.headers.get("Last-Modified", "") if not mark or mark.startswith("W/") else mark
            self._mark.write_text(mark, encoding="utf-8")
        most = self._size or total
        with self._part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_content(CHUNK_BYTES):
                if not have and chunk[:64].lstrip().lower().startswith(WEB_PAGE):
                    raise self._refused(f"{answer.url} answers with a web page: check the address.")
                have += len(chunk)
                if most is not None and have > most:
                    raise self._refused(f"{answer.url} sends more than the {most} bytes expected: it is not kept.")
                file.write(chunk)
                self._tell(have)
        if self._have != have:
            raise self._refused(f"{self._part} is written by another process too: stop one, and fetch it again.")
        if total is not None and have < total:
            raise requests.ConnectionError(f"{total - have} bytes are missing")

    def _check(self, answer: requests.Response, total: int | None, have: int) -> None:
        """Refuse what cannot be the file, or does not fit on the disk, before a byte of it is written."""
        if answer.headers.get("Content-Type", "").partition(";")[0].strip() == "text/html":
            raise self._refused(f"{answer.url} answers with a web page: check the address.")
        size = self._size
        if size is not None and total is not None and total != size:
            raise self._refused(f"{answer.url} has {total} bytes where {size} are expected: check the address.")
        free = shutil.disk_usage(self._part.parent).free
        if total is not None and total - have > free:
            raise InputError(
                f"{self._part.parent} has {free} bytes free, and {answer.url} needs {total - have} more: make room or "
                "choose another folder."
            )

    def _tell(self, have: int) -> None:
        self._advance((have >> 20) - self._told)
        self._told = have >> 20

    def _refused(self, text: str) -> InputError:
        self._forget()
        return InputError(text)

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)


def unreachable(url: str, error: Exception) -> InputError:
    """Return the mistake that no server answers."""
    return InputError(f"{url} cannot be reached ({reason(error)}): check the address, the network and the proxy.")


def reason(error: BaseException) -> str:
    """Return the innermost reason, in one line: what requests says of a failure is a nest of classes."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    cause = getattr(error, "reason", None)
    if isinstance(cause, BaseException):
        error = cause
    return " ".join(str(error).split())[-160:] or type(error).__name__
