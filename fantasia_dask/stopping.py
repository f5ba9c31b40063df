"""A clean stop: Ctrl-C and SIGTERM end a run within five seconds, and the same command takes it up again."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["Stop", "last_act", "stoppable"]

GRACE_SECONDS = 3.0
"""After so long what still computes is not waited for: all that counts is on disk, whole, or will be made again."""

RETRY_SECONDS = 0.05
"""So long after an interruption that Python has dropped comes the next."""

_last_acts: list[Callable[[], object]] = []


@contextmanager
def last_act(act: Callable[[], object]) -> Iterator[None]:
    """Have something small done within the ``with`` block even if the process must end without leaving the block.

    A thread that computes cannot be stopped, only left behind; the lock and the scratch folder must not be.
    """
    _last_acts.append(act)
    try:
        yield
    finally:
        _last_acts.remove(act)


class Stop:
    """Whether the process was asked to stop, and by what."""

    def __init__(self) -> None:
        self.signal = 0
        self._end_later = _timer(GRACE_SECONDS, self._end)
        self._ask_again: threading.Timer | None = None
        self._asked_thread = threading.get_ident()
        self.tell_unraisable = sys.unraisablehook

    @property
    def code(self) -> int:
        """The exit code: 130 after Ctrl-C, 143 after SIGTERM, as shells and schedulers expect it."""
        return 128 + (self.signal or signal.SIGINT)

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """Stop in the main thread, as Ctrl-C does; asked a second time, or after three seconds, end at once."""
        if self._ask_again:
            self._ask_again = None
        elif self.signal:
            self._end()
        else:
            self.signal = number
            logging.disable()  # what a cluster logs of its own end helps nobody
            self._end_later.start()
        raise KeyboardInterrupt

    def unraisable(self, error: Any) -> None:
        """Stop in a moment where Python drops the `KeyboardInterrupt`: within a finalizer or the garbage collector."""
        if not self.signal:
            self.tell_unraisable(error)
        elif isinstance(error.exc_value, KeyboardInterrupt):
            self._ask_again = _timer(RETRY_SECONDS, lambda: signal.pthread_kill(self._asked_thread, self.signal))
            self._ask_again.start()

    def over(self) -> None:
        """Wait no longer for the end: it has come."""
        self._end_later.cancel()
        if self._ask_again:
            self._ask_again.cancel()
        if self.signal:
            logging.disable(logging.NOTSET)

    def _end(self) -> None:
        """End the processes that were started here, do what must be done, and go without waiting for any thread."""
        import psutil

        tracker = _resource_tracker()
        with suppress(psutil.Error):
            children = [child for child in psutil.Process().children(recursive=True) if child.pid != tracker]
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
            psutil.wait_procs(children, timeout=1)
        for act in reversed(_last_acts):
            with suppress(Exception):
                act()
        os.write(2, b"interrupted: the same command takes the run up again.\n")
        if tracker is not None:
            with suppress(OSError):
                os.kill(tracker, signal.SIGKILL)
        os._exit(self.code)


def _timer(seconds: float, act: Callable[[], object]) -> threading.Timer:
    """Make a timer that keeps no process alive."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    return timer


def _resource_tracker() -> int | None:
    """Return the process in which multiprocessing counts its semaphores, if there is one.

    It must go last: threads that still run here would start another one and complain, and so would it.
    """
    module = sys.modules.get("multiprocessing.resource_tracker")
    return getattr(getattr(module, "_resource_tracker", None), "_pid", None)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into one `KeyboardInterrupt` for the time of a ``with`` block.

    Elsewhere than in the main thread, which alone may do so, signals stay as they are.

    Examples
    --------
    >>> with stoppable() as stop:
    ...     try:
    ...         signal.raise_signal(signal.SIGTERM)
    ...     except KeyboardInterrupt:
    ...         print("exit code", stop.code)
    exit code 143
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.unraisablehook = stop.unraisable
    try:
        yield stop
    finally:
        stop.over()
        sys.unraisablehook = stop.tell_unraisable
        for number, handler in before.items():
            signal.signal(number, handler)
