"""What a person sees while a run works: bars in a terminal, plain lines elsewhere, both on standard error."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

__all__ = ["Progress"]

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Tell how far the stages of a run have come.

    Parameters
    ----------
    stream : file, optional
        Where to write; by default standard error. A terminal gets bars, anything else plain lines.
    quiet : bool
        Write nothing.

    Examples
    --------
    >>> with Progress(sys.stdout).stage("embedding", 2, "proteins") as advance:
    ...     advance(2)
    embedding: 2 proteins
    embedding: 2 of 2 proteins, done in 0 s
    """

    def __init__(self, stream: TextIO | None = None, quiet: bool = False):
        self.stream = stream if stream is not None else sys.stderr
        self.quiet = quiet
        self._log: list[str] = []
        self._log_path: Path | None = None

    def line(self, text: str) -> None:
        """Write one line, to the log too."""
        self.note(text)
        if not self.quiet:
            print(text, file=self.stream, flush=True)

    def note(self, text: str) -> None:
        """Write one line to the log alone."""
        self._log.append(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
        if self._log_path is not None:
            with self._log_path.open("a", encoding="utf-8") as file:
                file.writelines(self._log)
            self._log.clear()

    def log_to(self, path: Path) -> None:
        """Keep the log in a file from now on; it gets what has been noted before too."""
        self._log_path = path

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Keep a log for the time of a ``with`` block; warnings are noted in it and shown as before."""
        show = warnings.showwarning

        def noted(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            self.note(f"warning: {message}")
            show(message, category, *rest, **more)

        warnings.showwarning = noted
        try:
            yield
        except BaseException as error:
            self.note(f"stopped: {type(error).__name__}: {error}")
            raise
        finally:
            warnings.showwarning = show
            self._log, self._log_path = [], None

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Follow one stage; yields a function that is told how many more units are done."""
        if not self.quiet and self.stream.isatty():
            begun = time.monotonic()
            with self._bar(name, total, unit) as advance:
                yield advance
            self.note(f"{name}: {total} {unit}, done in {time.monotonic() - begun:.0f} s")
        else:
            with self._lines(name, total, unit) as advance:
                yield advance

    @contextmanager
    def _bar(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description:<10}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn(unit),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(file=self.stream)) as bars:
            task = bars.add_task(name, total=total)
            yield lambda done: bars.update(task, advance=done)

    @contextmanager
    def _lines(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        begun = spoken = time.monotonic()
        so_far = 0

        def advance(done: int) -> None:
            nonlocal spoken, so_far
            so_far += done
            now = time.monotonic()
            if now - spoken >= SECONDS_BETWEEN_LINES:
                spoken = now
                left = (now - begun) / max(so_far, 1) * (total - so_far)
                self.line(f"{name}: {so_far} of {total} {unit}, about {left:.0f} s left")

        self.line(f"{name}: {total} {unit}")
        yield advance
        self.line(f"{name}: {so_far} of {total} {unit}, done in {time.monotonic() - begun:.0f} s")
