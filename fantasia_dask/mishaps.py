"""What befalls a run from outside, in one sentence: a full disk, a cluster that is gone, a worker that dies.

None of it is a bug, all of it can be put right, and the same command then takes the run up again.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError

__all__ = ["of_the_disk", "told_plainly"]

GOES_ON = "Then give the same command again: it goes on where it stopped."
ANEW = "Then give the same command again."
REMEDIES = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the quota of the disk is used up: make room, or ask for more",
    errno.EROFS: "the file system is read-only: choose a folder that can be written (base_directory of a run)",
    errno.EACCES: "permission is denied: change that, or choose a folder of your own (base_directory of a run)",
    errno.EPERM: "permission is denied: change that, or choose a folder of your own (base_directory of a run)",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.EIO: "the disk fails: look at the system's log, or use another disk",
    errno.EFBIG: "the file would be larger than is allowed: raise the limit (ulimit -f)",
    errno.ENAMETOOLONG: "its name is too long: expected a path",
    errno.ENOTDIR: "a part of its path is a file and no folder: expected another path",
    errno.ESTALE: "the network file system has lost it: mount it again",
}
IN_TEXT = re.compile(r"\[?errno[ =]*(\d+)", re.IGNORECASE)
"""HDF5 and Arrow say the number in the text alone."""


@contextmanager
def told_plainly(folder: Path, *, goes_on: bool = True) -> Iterator[None]:
    """Turn a mishap within the ``with`` block into an `InputError`; bugs pass through as they are.

    Parameters
    ----------
    folder : Path
        Where the run works; named where the error itself names no file.
    goes_on : bool
        Whether the same command takes the work up where it was.

    Examples
    --------
    >>> with told_plainly(Path("experiments/ants")):
    ...     raise OSError(errno.ENOSPC, "No space left on device", "hits.parquet")
    Traceback (most recent call last):
        ...
    fantasia_dask.errors.InputError: hits.parquet cannot be written or read, as the disk is full: make room. Then ...
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        text = of_the_disk(error, folder) or _of_the_cluster(error)
        if text is None:
            raise
        raise InputError(f"{text}. {GOES_ON if goes_on else ANEW}") from error


def of_the_disk(error: Exception, folder: Path) -> str | None:
    """Say what is wrong with a disk, and what can be done; None where it is something else."""
    if not isinstance(error, OSError):
        return None
    stated = IN_TEXT.search(str(error))
    number = error.errno or (int(stated[1]) if stated else 0)
    remedy = REMEDIES.get(number)
    return f"{error.filename or folder} cannot be written or read, as {remedy}" if remedy else None


def _of_the_cluster(error: Exception) -> str | None:
    """Recognise what Dask raises; without a cluster it was never imported, and nothing of it can have been raised."""
    import sys

    if "distributed" not in sys.modules:
        return None
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    if isinstance(error, KilledWorker):
        return (
            "a task ended its worker every time that it was tried, most likely for want of memory: raise "
            "cluster.memory_limit, or lower batch_size or the number of workers"
        )
    if isinstance(error, CommClosedError | CancelledError):
        return "the cluster is gone, or let go of the work: start it again"
    return None
