"""What a person sees while a run works: bars in a terminal, a line a minute elsewhere, both on standard error."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from .journal import Journal, without_secrets
from .stopping import last_act

__all__ = ["Progress"]

SECONDS_BETWEEN_LINES = 60.0
REMEMBERED_LINES = 10
"""The rate is that of the last ten lines: what an earlier run had done already comes at once and says nothing."""


class Progress:
    """Tell how far the stages of a run have come.

    Parameters
    ----------
    stream : file, optional
        Where to write; by default standard error. A terminal gets bars, anything else plain lines.
    quiet : bool
        Write nothing but the journal.

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
        self._journal = Journal()

    def line(self, text: str, event: str = "note", **facts: Any) -> None:
        """Write one line, to the journal too; `facts` go to its JSON lines alone."""
        self.note(text, event, **facts)
        if not self.quiet:
            print(without_secrets(text), file=self.stream, flush=True)

    def note(self, text: str, event: str = "note", **facts: Any) -> None:
        """Write one line to the journal alone."""
        self._journal.write(text, event, **facts)

    def log_to(self, log: Path, events: Path) -> None:
        """Keep the journal in files from now on; they get what has been noted before too."""
        self._journal.keep_in(log, events)

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Keep a journal for the time of a ``with`` block; warnings are noted in it and shown as before."""
        show = warnings.showwarning

        def noted(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            self.note(f"warning: {message}", "warning")
            show(message, category, *rest, **more)

        warnings.showwarning = noted
        try:
            with last_act(partial(self.note, "stopped, without waiting for what was being computed", "stopped")):
                yield
        except BaseException as error:
            said = f": {error}" if str(error) else ""
            self.note(f"stopped: {type(error).__name__}{said}", "stopped", reason=type(error).__name__)
            raise
        finally:
            warnings.showwarning = show
            self._journal.close()

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Follow one stage; yields a function that is told how many more units are done."""
        facts = {"stage": name, "total": total, "unit": unit}
        in_terminal = not self.quiet and self.stream.isatty()
        tell = self.note if in_terminal else self.line
        count = _Count()
        tell(f"{name}: {total} {unit}", "stage-begun", **facts)

        def speak() -> None:
            rate = count.rate()
            text = f"{name}: {count.done} of {total} {unit}"
            if rate:
                text += f", {_per_time(rate)}, about {_duration((total - count.done) / rate)} left"
            tell(text, "stage-progress", done=count.done, per_second=round(rate, 4), **facts)

        bar = self._bar(name, total, unit) if in_terminal else nullcontext(lambda done: None)
        with bar as move, _every(SECONDS_BETWEEN_LINES, speak):

            def advance(done: int) -> None:
                count.done += done
                move(count.done)

            yield advance
        spent = count.seconds()
        tell(
            f"{name}: {count.done} of {total} {unit}, done in {_duration(spent)}",
            "stage-done",
            done=count.done,
            seconds=round(spent, 3),
            **facts,
        )

    @contextmanager
    def _bar(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        from rich import progress
        from rich.console import Console
        from rich.text import Text

        class Rate(progress.ProgressColumn):
            def render(self, task: progress.Task) -> Text:
                speed = task.finished_speed or task.speed
                return Text(_per_time(speed) if speed else "")

        columns = (
            progress.TextColumn("{task.description:<10}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn(unit),
            Rate(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(file=self.stream)) as bars:
            task = bars.add_task(name, total=total)
            yield lambda done: bars.update(task, completed=done)


class _Count:
    """How many units are done, and how fast they came lately."""

    def __init__(self) -> None:
        self.done = 0
        self._marks = deque([(time.monotonic(), 0)], maxlen=REMEMBERED_LINES)
        self._begun = self._marks[0][0]

    def rate(self) -> float:
        """Return units per second since the tenth line before this one."""
        now, (then, before) = time.monotonic(), self._marks[0]
        self._marks.append((now, self.done))
        return (self.done - before) / max(now - then, 1e-9)

    def seconds(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._begun


@contextmanager
def _every(seconds: float, speak: Callable[[], None]) -> Iterator[None]:
    """Call a function at intervals for the time of a ``with`` block, also while nothing moves."""
    over = threading.Event()

    def keep_speaking() -> None:
        while not over.wait(seconds):
            speak()

    thread = threading.Thread(target=keep_speaking, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _per_time(rate: float) -> str:
    """Say a rate per second, minute or hour, whichever is 1 or more.

    Examples
    --------
    >>> _per_time(120.4), _per_time(0.5), _per_time(0.001)
    ('120/s', '30/min', '3.6/h')
    """
    unit, value = next(((u, rate * s) for s, u in ((1, "s"), (60, "min")) if rate * s >= 1), ("h", rate * 3600))
    return f"{value:.0f}/{unit}" if value >= 10 else f"{value:.1f}/{unit}"


def _duration(seconds: float) -> str:
    """Say a time as a person would.

    Examples
    --------
    >>> _duration(42.4), _duration(754), _duration(9000)
    ('42 s', '12 min 34 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
