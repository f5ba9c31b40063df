"""The same packets on real clusters."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fantasia_dask.embed import resident, schedule
from fantasia_dask.embed.blocks import embed_proteins
from fantasia_dask.embed.models import EmbeddingRequest, model_spec
from fantasia_dask.embed.worker import Packet, PacketResult
from fantasia_dask.errors import InputError
from fantasia_dask.store import open_store, sequence_digest


@pytest.fixture
def client_in_process():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def embed(folder, proteins, out, **options):
    ids = [f"P{i}" for i in range(len(proteins))]
    request = EmbeddingRequest(model_spec("ESM", folder), (0, 2), 4)
    status = embed_proteins(ids, proteins, [request], out, profile="clean", packet_size=3, **options)
    store = open_store(out)
    return status, [np.asarray(store.vectors("ESM", layer)) for layer in (0, 2)]


def test_embed_proteins__on_a_cluster_in_this_process(esm2_folder, proteins, tmp_path, client_in_process):
    calls = []
    status, alone = embed(esm2_folder, proteins, tmp_path / "a.zarr", device="cpu")
    on_cluster, vectors = embed(
        esm2_folder, proteins, tmp_path / "b.zarr", client=client_in_process, progress=lambda *call: calls.append(call)
    )
    assert status.equals(on_cluster)
    np.testing.assert_array_equal(vectors, alone)
    assert calls[-1][0] == calls[-1][1] == len(set(proteins))


def test_embed_proteins__on_two_processes(esm2_folder, proteins, tmp_path):
    from distributed import Client, LocalCluster

    _, alone = embed(esm2_folder, proteins, tmp_path / "a.zarr", device="cpu")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        status, vectors = embed(esm2_folder, proteins, tmp_path / "b.zarr", client=client, device="cpu")
        addresses = list(client.scheduler_info()["workers"])
        left = [client.submit(getattr, resident, "_here", workers=[a], pure=False).result() for a in addresses]
    assert set(status["status"]) == {"embedded"}
    np.testing.assert_allclose(vectors, alone, rtol=1e-4, atol=1e-5)
    assert left == [None, None], "the models are released at the end"


def test_embed_proteins__a_users_mistake_comes_back_from_the_worker(
    t5_folder, broken_copy, tmp_path, client_in_process
):
    copy = broken_copy(t5_folder)
    for file in copy.glob("tokenizer*"):
        file.unlink()
    request = EmbeddingRequest(model_spec("Prot-T5", copy), (0,), 4)
    with pytest.raises(InputError, match=r"tokenizer in .* is wrong or missing"):
        embed_proteins(["P"], ["MKT"], [request], tmp_path / "s.zarr", profile="clean", client=client_in_process)
    assert not (tmp_path / "s.zarr").exists()


def test_run_packets__a_packet_that_kills_its_worker_is_halved(esm2_folder, client_in_process, monkeypatch):
    """One protein is the culprit: the others come through, and it is named."""
    from distributed import KilledWorker

    def deadly(packet):
        if "WWW" in packet.sequences:
            raise KilledWorker("embed", SimpleNamespace(address="inproc://gone"), 3)
        return PacketResult("/" + "-".join(packet.sequences), {})

    monkeypatch.setattr(schedule, "embed_packet", deadly)
    packets = [
        Packet(model_spec("ESM", esm2_folder), (0,), "clean", 4, "cpu", sequences, "")
        for sequences in (("A", "C", "WWW", "D", "E"), ("F", "G"))
    ]
    results = [result for _, result in schedule.run_packets(packets, client_in_process)]
    assert sorted(r.path for r in results if r.path) == ["/A-C", "/D-E", "/F-G"]
    (failures,) = [r.failures for r in results if r.failures]
    assert list(failures) == [sequence_digest("WWW")]
    assert "the worker was killed" in failures[sequence_digest("WWW")]


def test_share_cores__processes_of_the_busiest_host(esm2_folder):
    packet = Packet(model_spec("ESM", esm2_folder), (0,), "clean", 4, "cpu", ("A",), "")
    where = [("one", 1), ("one", 1), ("one", 2), ("two", 1)]
    assert schedule._share_cores([packet], where)[0].processes == 2
