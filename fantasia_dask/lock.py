"""One run at a time in a folder: a file that says who works there, held by the system for as long as that lives.

The lock is the kernel's (``flock``): it ends with its process, whatever ended that, and no clock or reused process
number can deceive it. A file system may not carry it from one machine to another; there the file's time is renewed
every ten seconds, and a run on another machine counts as alive while its file is younger than two minutes.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from .errors import InputError
from .stopping import last_act

__all__ = ["only_run"]

HEARTBEAT_SECONDS = 10.0
SILENT_SECONDS = 120.0
"""After so long without a heartbeat a run on another machine is taken for dead."""
TRIES = 100
REMEDIES_OF_A_RUN = ("give this run another prefix", "set base_directory to a folder of your own")
NOT_SUPPORTED = {errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}


@contextmanager
def only_run(
    lock: Path, tell: Callable[[str], object], remedies: tuple[str, str] = REMEDIES_OF_A_RUN
) -> Iterator[None]:
    """Be the only run in the folder of a lock file, for the time of a ``with`` block.

    Parameters
    ----------
    lock : Path
        The file; its folder is made, and removed again if nothing else is in it at the end.
    tell : callable
        Takes one line when a lock was found whose run is no more.
    remedies : two str
        What else than to wait can be done about a folder in use, and about one that cannot be written.

    Raises
    ------
    InputError
        If another run works there, or the folder cannot be written.

    Examples
    --------
    >>> lock = Path(tempfile.mkdtemp(), "run", "run.lock")
    >>> with only_run(lock, print):
    ...     lock.exists()
    True
    >>> lock.exists() or lock.parent.exists()
    False
    """
    new = [lock.parent, *(folder for folder in lock.parents[1:] if not folder.exists())]
    try:
        file = _acquired(lock, tell, remedies[0])
    except OSError as error:
        raise InputError(f"{lock.parent} cannot be written ({error.strerror}): {remedies[1]}.") from error
    over = threading.Event()
    heart = threading.Thread(target=_beat, args=(file, over), name="run-lock", daemon=True)
    heart.start()
    try:
        with last_act(partial(lock.unlink, missing_ok=True)):
            yield
    finally:
        over.set()
        heart.join()
        lock.unlink(missing_ok=True)
        os.close(file)
        with suppress(OSError):  # there is something in it, as there should be
            for folder in new:
                folder.rmdir()


def _acquired(lock: Path, tell: Callable[[str], object], remedy: str) -> int:
    """Open and hold the lock file; return its descriptor."""
    while True:
        file = _opened(lock)
        try:
            supported = _hold(file, lock, remedy)
            if os.fstat(file).st_nlink == 0:  # its last holder removed it while this one opened it
                os.close(file)
                continue
            holder = _holder(file)
            if holder is not None:
                _check_gone(holder, file, lock, supported)
                tell(f"{_named(holder)} stopped without a word: going on in its place.")
            _sign(file)
        except BaseException:
            os.close(file)
            raise
        return file


def _opened(lock: Path) -> int:
    """Open the lock file, and make it and its folder where they are not."""
    for _ in range(TRIES):
        lock.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # the last holder has just removed the empty folder
            return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    raise FileNotFoundError(errno.ENOENT, "it is removed again and again", str(lock))


def _hold(file: int, lock: Path, remedy: str) -> bool:
    """Take the kernel's lock; return False where the file system has none."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{lock.parent} is in use by {_named(_holder(file))}: wait until that has ended, or {remedy}."
        ) from error
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        return False
    return True


def _holder(file: int) -> dict[str, Any] | None:
    """Return what the lock file says of its run; None when it is new."""
    text = os.pread(file, 4096, 0)
    if not text:
        return None
    try:
        holder = json.loads(text)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _named(holder: dict[str, Any] | None) -> str:
    if not holder:
        return "another run"
    return f"process {holder.get('process')} on {holder.get('host')}, begun {holder.get('begun')}"


def _check_gone(holder: dict[str, Any], file: int, lock: Path, supported: bool) -> None:
    """Refuse to take the place of a run that may still work."""
    if holder.get("host") == platform.node():
        alive = not supported and _is_alive(holder.get("process"))
    else:
        with tempfile.TemporaryFile(dir=lock.parent) as probe:  # the clock of the file system, whoever keeps it
            now = os.fstat(probe.fileno()).st_mtime
        alive = now - os.fstat(file).st_mtime < SILENT_SECONDS
    if alive:
        raise InputError(
            f"{lock.parent} is in use by {_named(holder)}: wait until that has ended. If it was killed, give the "
            f"command again in two minutes, or remove {lock}."
        )


def _is_alive(process: Any) -> bool:
    import psutil

    return isinstance(process, int) and psutil.pid_exists(process)


def _sign(file: int) -> None:
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"host": platform.node(), "process": os.getpid(), "begun": begun}) + "\n"
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)
    os.fsync(file)


def _beat(file: int, over: threading.Event) -> None:
    """Renew the time of the file until the run is over."""
    while not over.wait(HEARTBEAT_SECONDS):
        with suppress(OSError):  # a network that is away for a moment stops no run
            os.utime(file)
