"""Clusters started here listen on the loopback interface alone; those joined over TLS want the right certificates."""

from __future__ import annotations

import psutil
import pytest

from fantasia_dask.cluster import connect
from tests.faults.world import same


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


@pytest.mark.faults
def test_tls__with_wrong_and_right_certificates(world, undisturbed):
    pytest.importorskip("cryptography")
    from distributed import LocalCluster, Security

    right, wrong = Security.temporary(), Security.temporary()
    quiet = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    with LocalCluster(1, processes=False, protocol="tls://", host="127.0.0.1", security=right, **quiet) as cluster:

        def join(certificates):
            files = {part: world.home / f"{part}.pem" for part in ("ca_file", "cert", "key")}
            files["ca_file"].write_text(certificates.tls_ca_file)
            files["cert"].write_text(certificates.tls_client_cert)
            files["key"].write_text(certificates.tls_client_key)
            security = {part: str(file) for part, file in files.items()}
            world.configure(cluster={"address": cluster.scheduler_address, "security": security})

        join(wrong)
        line = world.refused()
        assert f"the scheduler at {cluster.scheduler_address} cannot be reached" in line
        assert "whether it speaks TLS (cluster.security), with these certificates" in line
        join(right)
        assert same(world.finish(), undisturbed)
