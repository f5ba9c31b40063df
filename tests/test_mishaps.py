"""What befalls a run from outside is one sentence; bugs stay bugs."""

from __future__ import annotations

import errno
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from distributed import KilledWorker
from distributed.comm import CommClosedError

from fantasia_dask.errors import InputError
from fantasia_dask.mishaps import told_plainly

FOLDER = Path("experiments/ants")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "hits.parquet"),
            "hits.parquet cannot .* the disk is full",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "experiments/ants cannot be .* quota"),
        (OSError("write failed, errno = 28, error message = 'No space left'"), "experiments/ants .* the disk is full"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/srv"), "/srv .* permission is denied"),
        (OSError(errno.EROFS, "Read-only file system", "/srv"), "read-only"),
        (CommClosedError("in <TCP>: Stream is closed"), "the cluster is gone"),
        (CancelledError("key"), "the cluster is gone"),
        (KilledWorker("lookup", None, 3), "raise cluster.memory_limit"),
    ],
)
def test_told_plainly(error, said):
    with pytest.raises(InputError, match=said) as caught, told_plainly(FOLDER):
        raise error
    assert "give the same command again" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), OSError("who knows"), FileNotFoundError(2, "gone"), KeyError(1)]
)
def test_told_plainly__bugs_pass(error):
    with pytest.raises(type(error)) as caught, told_plainly(FOLDER):
        raise error
    assert caught.value is error
