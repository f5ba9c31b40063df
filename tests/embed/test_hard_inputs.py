"""Real files of giants and of records that cannot be read, under too little memory: nobody is lost."""

from __future__ import annotations

import numpy as np
import pytest

from fantasia_dask.embed import memory, resident, worker
from fantasia_dask.embed.blocks import embed_proteins
from fantasia_dask.embed.models import EmbeddingRequest, model_spec
from fantasia_dask.sequences import read_fasta
from fantasia_dask.store import open_store

LIMIT = 8_000
"""Residues of a batch, padding included, that the device of the imagination can hold."""


@pytest.fixture
def small_device(monkeypatch):
    """A device that takes batches as large as a GPU's and runs out of memory beyond `LIMIT`; tells what it held."""
    forward, held, refused = resident.embed_batch, [], []

    def embed_batch(loaded, sequences, layers, profile):
        size = (len(sequences), max(map(len, sequences)))
        if size[0] * size[1] > LIMIT:
            refused.append(size)
            raise MemoryError
        held.append(size)
        return forward(loaded, sequences, layers, profile)

    monkeypatch.setattr(resident, "embed_batch", embed_batch)
    monkeypatch.setitem(worker.BATCH_RESIDUES, "cpu", worker.BATCH_RESIDUES["cuda"])
    return held, refused


def embed(checkpoint, proteins, out):
    request = EmbeddingRequest(model_spec("ESM", checkpoint), (0, 1), 8)
    ids, sequences = [p.accession for p in proteins], [p.sequence for p in proteins]
    return embed_proteins(ids, sequences, [request], out, profile="pis-3.1", device="cpu", packet_size=64)


def check_accounts(status, proteins, store):
    """Every protein has its row in every layer, and its vector where the row says so, and nowhere else."""
    for layer, rows in status.groupby("layer"):
        assert list(rows["accession"]) == [p.accession for p in proteins]
        np.testing.assert_array_equal(rows["status"] == "embedded", store.present("ESM", layer))
        vectors = np.asarray(store.vectors("ESM", layer))
        np.testing.assert_array_equal(np.isfinite(vectors).all(axis=1), rows["status"] == "embedded")
    assert sorted(set(status["layer"])) == [0, 1]
    assert (status["reason"] != "").eq(status["status"] == "failed").all()


def test_embed_proteins__fantasias_troublesome_proteins(shared, smallest_esm_folder, small_device, tmp_path):
    """176 records up to 35,213 residues, one of them with a digit."""
    held, refused = small_device
    proteins = read_fasta(shared / "data" / "fasta" / "fantasia_test_failure.fa.gz", skip_invalid=True)
    status = embed(smallest_esm_folder, proteins, tmp_path / "s.zarr")
    check_accounts(status, proteins, open_store(tmp_path / "s.zarr"))
    assert len(status) == 2 * 176
    assert {n for n, _ in refused} >= {1, 2, 4, 8}, "halved, and halved again, down to one protein"
    assert {n for n, _ in held} >= {1, 4}
    too_long = {p.accession for p in proteins if len(p.sequence) > LIMIT}
    unreadable = {p.accession for p in proteins if p.problem}
    failed = status[status["status"] == "failed"].set_index("accession")["reason"]
    assert set(failed.index) == too_long | unreadable
    assert len(too_long) == 67
    assert failed[sorted(too_long)].str.contains("out of memory").all()


def test_embed_proteins__titin_twice(shared, smallest_esm_folder, small_device, tmp_path):
    """68,700 residues in one protein: it fails by name, its neighbours come through."""
    titin = read_fasta(shared / "data" / "fasta" / "titin_twice.fasta.gz")
    ordinary = read_fasta(shared / "data" / "fasta" / "fantasia_test.fa", skip_invalid=True)
    ordinary = [protein for protein in ordinary if not protein.problem]
    proteins = [*ordinary[:5], *titin, *ordinary[5:]]
    status = embed(smallest_esm_folder, proteins, tmp_path / "s.zarr")
    check_accounts(status, proteins, open_store(tmp_path / "s.zarr"))
    failed = status[status["status"] == "failed"]
    assert list(failed["accession"]) == [titin[0].accession] * 2
    assert failed["reason"].str.startswith("out of memory: 68700 residues do not fit, even alone").all()
    assert small_device[1][-1] == (1, 68_700)


def test_embed_proteins__titin_twice_where_memory_suffices(shared, smallest_esm_folder, tmp_path):
    """No limit of ours stands in the way of a giant: ESM-2's positions are rotary."""
    titin = read_fasta(shared / "data" / "fasta" / "titin_twice.fasta.gz")
    status = embed(smallest_esm_folder, titin, tmp_path / "s.zarr")
    check_accounts(status, titin, open_store(tmp_path / "s.zarr"))
    assert list(status["residues"]) == [68_700, 68_700]


def test_embed_proteins__titin_twice_is_refused_before_the_host_runs_out(shared, t5_folder, monkeypatch, tmp_path):
    """T5's attention bias would be 300 GB, even of the tiny model: an estimate says so, and nothing is allocated."""
    monkeypatch.setattr(memory, "free_bytes", lambda: 8 * 10**9)
    titin = read_fasta(shared / "data" / "fasta" / "titin_twice.fasta.gz")[0]
    request = EmbeddingRequest(model_spec("Prot-T5", t5_folder), (0,), 8)
    status = embed_proteins(
        ["P1", titin.accession],
        ["MKTAYIAK", titin.sequence],
        [request],
        tmp_path / "s.zarr",
        profile="clean",
        device="cpu",
    )
    assert list(status["status"]) == ["embedded", "failed"]
    assert status["reason"][1].startswith("out of memory: 68700 residues")
