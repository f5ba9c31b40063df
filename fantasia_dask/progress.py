"""What a person sees while a run works: bars in a terminal, plain lines elsewhere, both on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

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

    def line(self, text: str) -> None:
        """Write one line."""
        if not self.quiet:
            print(text, file=self.stream, flush=True)

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Follow one stage; yields a function that is told how many more units are done."""
        if self.quiet:
            yield lambda done: None
        elif self.stream.isatty():
            with self._bar(name, total, unit) as advance:
                yield advance
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
