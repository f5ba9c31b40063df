"""Batches, and the ladder down when memory runs out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.embed import memory, resident, worker
from fantasia_dask.embed.models import model_spec
from fantasia_dask.embed.worker import Packet, cut_batches, descend, embed_sequences


@given(st.lists(st.integers(1, 3000), max_size=60), st.integers(1, 20), st.integers(1, 5000))
def test_cut_batches__every_row_once_within_bounds(lengths, batch_size, residues):
    batches = cut_batches(lengths, batch_size, residues)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= batch_size
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= residues


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 20), st.sets(st.integers(0, 39)))
def test_descend__every_row_is_computed_or_named(n, capacity, too_large):
    """A device that holds `capacity` proteins, and some that it cannot hold at all."""
    import torch

    def run(rows):
        if len(rows) > capacity or too_large & set(rows):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")
        return torch.tensor(rows)

    beyond: list[int] = []
    done = descend(list(range(n)), run, beyond)
    computed = [row for rows, _ in done for row in rows]
    assert sorted(computed + beyond) == list(range(n))
    assert set(beyond) == {row for row in range(n) if capacity == 0 or row in too_large}
    for rows, values in done:
        assert values.tolist() == rows


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
)
def test_descend__what_counts_as_out_of_memory(error):
    beyond: list[int] = []

    def run(_rows):
        raise error

    assert descend([0, 1], run, beyond) == []
    assert beyond == [0, 1]


def test_descend__a_bug_is_not_hidden():
    def run(_rows):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        descend([0, 1], run, [])


def packet(folder, sequences, **options):
    return Packet(model_spec("ESM", folder), (0, 1), "clean", 8, "cpu", tuple(sequences), "", **options)


def test_embed_sequences__simulated_out_of_memory_loses_nobody(esm2_folder, proteins, monkeypatch):
    truth, failures = embed_sequences(packet(esm2_folder, proteins))
    assert failures == {}
    forward, sizes = resident.embed_batch, []

    def small_device(loaded, sequences, layers, profile):
        sizes.append(len(sequences))
        if len(sequences) > 2 or max(map(len, sequences)) == 300:
            raise MemoryError
        return forward(loaded, sequences, layers, profile)

    monkeypatch.setattr(resident, "embed_batch", small_device)
    vectors, failures = embed_sequences(packet(esm2_folder, proteins))
    assert {8, 4, 2, 1} <= set(sizes)
    assert list(failures) == [3]
    assert "out of memory: 300 residues" in failures[3]
    others = [row for row in range(16) if row != 3]
    np.testing.assert_allclose(vectors[others], truth[others], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("allowed", [True, False])
def test_embed_sequences__falls_back_to_the_cpu_if_allowed(esm2_folder, proteins, monkeypatch, allowed):
    """A GPU of the imagination: batches run on the CPU, and long proteins do not fit."""
    truth, _ = embed_sequences(packet(esm2_folder, proteins))
    real = resident.resident(model_spec("ESM", esm2_folder), "cpu")
    forward = resident.embed_batch
    monkeypatch.setattr(resident, "resident", lambda spec, device: SimpleNamespace(device=device))
    monkeypatch.setattr(worker, "check_memory", lambda *_: None)

    def on_device(loaded, sequences, layers, profile):
        if loaded.device == "cuda" and max(map(len, sequences)) > 100:
            raise RuntimeError("CUDA out of memory")
        return forward(real, sequences, layers, profile)

    monkeypatch.setattr(resident, "embed_batch", on_device)
    task = Packet(real.spec, (0, 1), "clean", 8, "cuda", tuple(proteins), "", cpu_fallback=allowed)
    vectors, failures = embed_sequences(task)
    long = {row for row, sequence in enumerate(proteins) if len(sequence) > 100}
    assert set(failures) == (set() if allowed else long)
    good = [row for row in range(16) if row not in failures]
    np.testing.assert_allclose(vectors[good], truth[good], rtol=1e-4, atol=1e-5)


def test_embed_sequences__values_that_are_not_finite_are_named(esm2_folder, proteins, monkeypatch):
    import torch

    forward = resident.embed_batch

    def overflowing(loaded, sequences, layers, profile):
        vectors = forward(loaded, sequences, layers, profile)
        wide = torch.tensor([len(sequence) == 300 for sequence in sequences])
        return vectors.masked_fill(wide[:, None, None], float("inf"))

    monkeypatch.setattr(resident, "embed_batch", overflowing)
    _, failures = embed_sequences(packet(esm2_folder, proteins))
    assert failures == {3: "the model gave values that are not finite"}


def test_check_memory__refuses_what_the_host_cannot_hold(t5_folder, monkeypatch):
    loaded = resident.load(model_spec("Prot-T5", t5_folder), "cpu")
    memory.check_memory(loaded, 1, 1000)
    monkeypatch.setattr(memory, "free_bytes", lambda: 10**9)
    with pytest.raises(MemoryError, match="35213 residues need about"):
        memory.check_memory(loaded, 1, 35_213)


def test_free_bytes__is_no_more_than_the_host_has():
    import psutil

    assert 0 < memory.free_bytes() <= psutil.virtual_memory().total
