"""Clusters started here listen on the loopback interface alone, and stop listening when they end."""

from __future__ import annotations

import psutil
import pytest

from fantasia_dask.cluster import connect


def listening():
    """Addresses at which this process and its children listen."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {
        (process.pid, connection.laddr.ip, connection.laddr.port)
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_connect__listens_on_loopback_only(workers):
    before = listening()
    with connect("local", workers=workers, threads_per_worker=1) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        new = listening() - before
        assert {address for _, address, _ in new} <= {"127.0.0.1"}
    assert listening() <= before, "no port is left open"
