"""What happened in a run, kept twice: lines for people in ``run.log``, JSON lines for programs in ``events.jsonl``.

A secret never gets there: passwords and tokens within addresses, and whatever the environment holds under a name that
says so, are replaced by three stars. A journal that cannot be written, as on a full disk, stops no run.
"""

from __future__ import annotations

import json
import os
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import one_line

__all__ = ["Journal", "without_secrets"]

IN_ADDRESS = re.compile(
    r"(?<=://)[^/\s@'\"]+(?=@)|(?<=[?&])((?:[\w-]*(?:token|key|secret|password|signature))=)[^&\s'\"]+", re.I
)
SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|ACCESS_KEY|CREDENTIALS?)$", re.IGNORECASE)
SHORTEST_SECRET = 6
"""Shorter values, such as ``true``, are no secrets, and would blot out ordinary words."""


def without_secrets(text: str) -> str:
    """Return a text without the passwords and tokens in it.

    Examples
    --------
    >>> without_secrets("fetching https://me:pass@host/a?token=abc&page=2")
    'fetching https://***@host/a?token=***&page=2'
    """
    text = IN_ADDRESS.sub(lambda found: f"{found[1] or ''}***", text)
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return text


class Journal:
    """The lines of one run; kept in memory until there is a folder to keep them in. Threads may share it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []
        self._files: tuple[Path, Path] | None = None
        self._lock = threading.Lock()

    def write(self, text: str, event: str = "note", **facts: Any) -> None:
        """Add one line; `facts` go beside it into ``events.jsonl``."""
        now, text = datetime.now(UTC), one_line(text)
        entry = {"time": now.isoformat(timespec="milliseconds"), "event": event, "text": text, **facts}
        plain = f"{now.astimezone():%Y-%m-%d %H:%M:%S} {text}"
        with self._lock:
            self._waiting.append((without_secrets(plain), without_secrets(json.dumps(entry, ensure_ascii=False))))
            self._flush()

    def keep_in(self, log: Path, events: Path) -> None:
        """Append to these two files from now on, first of all what has been written so far."""
        with self._lock:
            self._files = (log, events)
            self._flush()

    def close(self) -> None:
        """Write no more to the files."""
        with self._lock:
            self._waiting, self._files = [], None

    def _flush(self) -> None:
        if self._files is None:
            return
        try:
            for path, lines in zip(self._files, zip(*self._waiting, strict=True), strict=False):
                _append(path, "".join(f"{line}\n" for line in lines))
        except OSError:
            return  # a full disk: the run itself says so where it matters, and the lines wait
        self._waiting.clear()


def _append(path: Path, text: str) -> None:
    """Add lines to a file; a line that a killed process left half-written is ended first."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = "\n" + text
        file.write(text.encode("utf-8", "replace"))
