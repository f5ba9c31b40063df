"""What each stage of a run costs: wall seconds, and the peak memory of this process and of its largest child."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..progress import Progress
from ..run_folder import peak_memory_bytes

__all__ = ["Clock"]

RESET_PEAK = "5"
"""What Linux takes in ``clear_refs`` for: the peak begins anew from what is resident now."""


@dataclass
class Clock:
    """Wall seconds and peak memory of each stage.

    Workers of a cluster that was started here are children of this process, and so are programs such as MMseqs2;
    those of a cluster that was joined run elsewhere, and are not seen.
    """

    progress: Progress
    begun: float = field(default_factory=time.monotonic)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    stages: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage, and note what it took."""
        begun = time.monotonic()
        for pid in (os.getpid(), *_children()):
            _forget_peak(pid)
        yield
        cost: dict[str, float] = {
            "seconds": round(time.monotonic() - begun, 3),
            "peak_memory_bytes": _peak(os.getpid()) or peak_memory_bytes(),
            "largest_child_peak_memory_bytes": max(map(_peak, _children()), default=0),
        }
        self.stages[name] = cost
        text = f"{name} took {cost['seconds']:.1f} s, peak memory {cost['peak_memory_bytes'] / 1e6:.0f} MB"
        if cost["largest_child_peak_memory_bytes"]:
            text += f", largest worker {cost['largest_child_peak_memory_bytes'] / 1e6:.0f} MB"
        self.progress.note(text, "stage-cost", stage=name, **cost)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun


def _children() -> list[int]:
    """Return the processes that this one started, and those that they started."""
    import psutil

    return [child.pid for child in psutil.Process().children(recursive=True)]


def _forget_peak(pid: int) -> None:
    """Let the peak of a process begin anew, where the system can (Linux); elsewhere it is that of its whole life."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)
    except OSError:  # it has ended, is not ours, or this is no Linux
        return


def _peak(pid: int) -> int:
    """Return the largest resident size of a process in bytes; 0 where it cannot be told."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) * 1024 if lines else 0
