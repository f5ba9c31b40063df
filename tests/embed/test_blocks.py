from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fantasia_dask.embed import worker
from fantasia_dask.embed.blocks import embed_proteins
from fantasia_dask.embed.models import EmbeddingRequest, model_spec
from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.schema import STATUS, names
from fantasia_dask.store import open_store


@pytest.fixture
def request_esm(esm2_folder):
    return EmbeddingRequest(model_spec("ESM", esm2_folder), (0, 2), 4)


@pytest.fixture
def computed(monkeypatch):
    """The sequences that are computed, in order."""
    seen: list[str] = []
    run = worker.embed_sequences

    def watched(packet):
        seen.extend(packet.sequences)
        return run(packet)

    monkeypatch.setattr(worker, "embed_sequences", watched)
    return seen


def embed(proteins, requests, out, **options):
    ids = [f"P{i}" for i in range(len(proteins))]
    options = {"profile": "clean", "device": "cpu", "packet_size": 4, **options}
    return embed_proteins(ids, proteins, requests, out, **options)


def arrays(out):
    store = open_store(out)
    return {str(space): np.asarray(store.vectors(space.model, space.layer)) for space in store.spaces}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].tobytes() == other[key].tobytes(), key


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
def test_embed_proteins__store_status_and_nothing_else(suffix, request_esm, proteins, tmp_path):
    out = tmp_path / f"store{suffix}"
    status = embed(proteins, [request_esm], out)
    assert list(status.columns) == names(STATUS)
    assert len(status) == 2 * len(proteins)
    assert set(status["status"]) == {"embedded"}
    assert list(status["residues"][:16]) == [len(protein) for protein in proteins]
    store = open_store(out)
    assert [(s.layer, s.dimension, s.profile, s.dtype) for s in store.spaces] == [
        (0, 32, "clean", "float32"),
        (2, 32, "clean", "float32"),
    ]
    assert list(store.sequences) == proteins
    assert store.present("ESM", 0).all()
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


def test_embed_proteins__order_and_duplicates(request_esm, proteins, tmp_path, computed):
    shuffled = [proteins[i] for i in np.random.default_rng(3).permutation(16)]
    embed([*shuffled, *shuffled], [request_esm], tmp_path / "s.zarr")
    assert sorted(computed) == sorted(set(shuffled)), "every distinct sequence is computed once"
    alone = {}
    for sequence in set(shuffled):
        embed([sequence], [request_esm], tmp_path / "one.zarr")
        alone[sequence] = arrays(tmp_path / "one.zarr")["ESM layer 2"][0]
    together = arrays(tmp_path / "s.zarr")["ESM layer 2"]
    for row, sequence in enumerate([*shuffled, *shuffled]):
        np.testing.assert_allclose(together[row], alone[sequence], rtol=1e-4, atol=1e-5)


def test_embed_proteins__truncation(request_esm, proteins, tmp_path):
    cut = [sequence[:60] for sequence in proteins]
    status = embed(proteins, [request_esm], tmp_path / "a.zarr", max_residues=60)
    embed(cut, [request_esm], tmp_path / "b.zarr")
    assert_same_bits(arrays(tmp_path / "a.zarr"), arrays(tmp_path / "b.zarr"))
    expected = ["truncated" if len(sequence) > 60 else "embedded" for sequence in proteins]
    assert list(status["status"]) == expected * 2
    assert status["residues"].max() == 60
    assert status["reason"][3] == "300 residues cut to the first 60"
    assert list(open_store(tmp_path / "a.zarr").sequences) == proteins


def test_embed_proteins__empty_and_over_long_fail_by_name(esm1b_folder, proteins, tmp_path):
    request = EmbeddingRequest(model_spec("ESM-1b", esm1b_folder, "esm2"), (0,), 4)
    sequences = [*proteins, "", "A" * 46, "A" * 47]
    status = embed(sequences, [request], tmp_path / "s.zarr").set_index("accession")
    long = {f"P{i}" for i, sequence in enumerate(sequences) if len(sequence) > 46}
    assert set(status.index[status["status"] == "failed"]) == long | {"P16"}
    assert status.loc["P16", "reason"] == "the sequence is empty"
    assert status.loc["P18", "reason"].startswith("47 residues, and ESM-1b takes at most 46")
    assert status.loc["P17", "status"] == "embedded"
    present = open_store(tmp_path / "s.zarr").present("ESM-1b", 0)
    assert [f"P{i}" for i in np.flatnonzero(~present)] == sorted(long | {"P16"}, key=lambda name: int(name[1:]))
    assert np.isnan(arrays(tmp_path / "s.zarr")["ESM-1b layer 0"][~present]).all()


def test_embed_proteins__all_fail(request_esm, tmp_path):
    status = embed(["", ""], [request_esm], tmp_path / "s.zarr")
    assert set(status["status"]) == {"failed"}
    assert not open_store(tmp_path / "s.zarr").present("ESM", 0).any()


def test_embed_proteins__out_of_memory_is_in_the_status(request_esm, proteins, tmp_path, monkeypatch):
    check = worker.check_memory

    def small_host(loaded, n, residues):
        if residues >= 250 or n > 1:
            raise MemoryError
        check(loaded, n, residues)

    monkeypatch.setattr(worker, "check_memory", small_host)
    status = embed(proteins, [request_esm], tmp_path / "s.zarr")
    failed = status[status["status"] == "failed"]
    assert sorted(set(failed["accession"])) == ["P10", "P3"]
    assert failed["reason"].str.contains("out of memory").all()
    assert len(status) == 32
    monkeypatch.setattr(worker, "check_memory", check)
    status = embed(proteins, [request_esm], tmp_path / "s.zarr")
    assert set(status["status"]) == {"embedded"}, "a failure is tried again"


def test_embed_proteins__several_models(esm2_folder, esmc_folder, t5_folder, proteins, tmp_path):
    requests = [
        EmbeddingRequest(model_spec("ESM", esm2_folder), (1,), 4),
        EmbeddingRequest(model_spec("Prost-T5", t5_folder), (0, 3), 2),
        EmbeddingRequest(model_spec("ESM3c", esmc_folder), (0,), 3),
    ]
    calls = []
    status = embed(proteins, requests, tmp_path / "s.zarr", progress=lambda *call: calls.append(call))
    assert list(status.groupby(["model", "layer"], sort=False).size()) == [16] * 4
    distinct = len(set(proteins))
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert calls[-1][:2] == (3 * distinct, 3 * distinct)


def test_embed_proteins__float16(request_esm, proteins, tmp_path):
    embed(proteins, [request_esm], tmp_path / "half.zarr", dtype="float16")
    embed(proteins, [request_esm], tmp_path / "full.zarr")
    half, full = arrays(tmp_path / "half.zarr"), arrays(tmp_path / "full.zarr")
    for key in full:
        assert half[key].dtype == np.float16
        np.testing.assert_array_equal(half[key], full[key].astype(np.float16))


def test_embed_proteins__second_run_changes_nothing(request_esm, proteins, tmp_path, computed):
    out = tmp_path / "s.zarr"
    first = embed([*proteins, ""], [request_esm], out)
    written = {file: file.stat().st_mtime_ns for file in out.rglob("*")}
    computed.clear()
    second = embed([*proteins, ""], [request_esm], out)
    assert computed == []
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*")} == written
    assert first.equals(second)


def test_embed_proteins__an_added_protein_computes_itself_alone(request_esm, proteins, tmp_path, computed):
    out = tmp_path / "s.zarr"
    embed(proteins, [request_esm], out)
    before = arrays(out)
    computed.clear()
    embed(["MKTAY", *proteins], [request_esm], out)
    assert computed == ["MKTAY"]
    assert_same_bits({key: value[1:] for key, value in arrays(out).items()}, before)


def test_embed_proteins__an_added_layer_keeps_the_others(esm2_folder, proteins, tmp_path):
    out, spec = tmp_path / "s.zarr", model_spec("ESM", esm2_folder)
    embed(proteins, [EmbeddingRequest(spec, (0,), 4)], out)
    embed(proteins, [EmbeddingRequest(spec, (0, 3), 4)], out)
    embed(proteins, [EmbeddingRequest(spec, (0, 3), 4)], tmp_path / "at_once.zarr")
    assert_same_bits(arrays(out), arrays(tmp_path / "at_once.zarr"))


@pytest.mark.parametrize("change", [{"profile": "pis-3.1"}, {"max_residues": 40}, {"dtype": "float16"}])
def test_embed_proteins__an_older_store_of_another_kind_is_not_taken_over(change, request_esm, proteins, tmp_path):
    embed(proteins, [request_esm], tmp_path / "s.zarr")
    embed(proteins, [request_esm], tmp_path / "s.zarr", **change)
    embed(proteins, [request_esm], tmp_path / "fresh.zarr", **change)
    changed, fresh = arrays(tmp_path / "s.zarr"), arrays(tmp_path / "fresh.zarr")
    for key in fresh:  # truncation takes over the short ones, so that batches differ
        np.testing.assert_allclose(changed[key], fresh[key], rtol=1e-4, atol=1e-5)


def test_embed_proteins__another_checkpoint_is_not_taken_over(esm2_folder, broken_copy, proteins, tmp_path, computed):
    from transformers import EsmConfig, EsmModel

    out, cache = tmp_path / "s.zarr", tmp_path / "cache"
    embed(proteins, [EmbeddingRequest(model_spec("ESM", esm2_folder), (0,), 4)], out, cache=cache)
    copy = broken_copy(esm2_folder)
    EsmModel(EsmConfig.from_pretrained(copy), add_pooling_layer=False).save_pretrained(copy)
    computed.clear()
    embed(proteins, [EmbeddingRequest(model_spec("ESM", copy), (0,), 4)], out, cache=cache)
    assert len(computed) == len(set(proteins))


def test_embed_proteins__two_runs_share_a_cache(request_esm, proteins, tmp_path, computed):
    cache = tmp_path / "cache"
    embed(proteins[:10], [request_esm], tmp_path / "a.zarr", cache=cache)
    computed.clear()
    embed(proteins, [request_esm], tmp_path / "b.zarr", cache=cache)
    assert set(computed) == set(proteins) - set(proteins[:10])
    computed.clear()
    embed(proteins[::-1], [request_esm], tmp_path / "c.zarr", cache=cache, packet_size=7)
    assert computed == []
    np.testing.assert_array_equal(
        arrays(tmp_path / "c.zarr")["ESM layer 0"][::-1], arrays(tmp_path / "b.zarr")["ESM layer 0"]
    )


def test_embed_proteins__lost_and_damaged_parts_are_computed_again(request_esm, proteins, tmp_path, computed):
    cache = tmp_path / "cache"
    embed(proteins, [request_esm], tmp_path / "a.zarr", cache=cache)
    parts = sorted(cache.rglob("*.parquet"))
    assert len(parts) == 4
    parts[0].unlink()
    content = bytearray(parts[1].read_bytes())
    content[len(content) // 2] ^= 4
    parts[1].write_bytes(bytes(content))
    computed.clear()
    with pytest.warns(FantasiaWarning, match="is damaged"):
        embed(proteins, [request_esm], tmp_path / "b.zarr", cache=cache)
    assert 0 < len(computed) < len(set(proteins))
    assert_same_bits(arrays(tmp_path / "a.zarr"), arrays(tmp_path / "b.zarr"))


def test_embed_proteins__several_chunks(request_esm, proteins, tmp_path, monkeypatch):
    from fantasia_dask.embed import assemble, packets

    embed(proteins, [request_esm], tmp_path / "one.zarr")
    monkeypatch.setattr(assemble, "CHUNK_ROWS", 5)
    monkeypatch.setattr(packets, "CHUNK_ROWS", 5)
    embed(proteins, [request_esm], tmp_path / "many.zarr")
    assert open_store(tmp_path / "many.zarr").chunk_rows == 5
    one, many = arrays(tmp_path / "one.zarr"), arrays(tmp_path / "many.zarr")
    for key in one:
        np.testing.assert_allclose(many[key], one[key], rtol=1e-4, atol=1e-5)


SCRIPT = """
import sys, time
from fantasia_dask.embed import worker
from fantasia_dask.embed.blocks import embed_proteins
from fantasia_dask.embed.models import EmbeddingRequest, model_spec
folder, out, fasta = sys.argv[1:]
proteins = open(fasta).read().split()
run = worker.embed_packet
def slow(packet):
    result = run(packet)
    print("part", flush=True)
    time.sleep(0.05)
    return result
from fantasia_dask.embed import schedule
schedule.embed_packet = slow
embed_proteins([f"P{i}" for i in range(len(proteins))], proteins,
    [EmbeddingRequest(model_spec("ESM", folder), (0, 2), 4)], out, profile="clean", device="cpu", packet_size=4)
print("done", flush=True)
"""


def test_embed_proteins__killed_and_started_again(request_esm, esm2_folder, tmp_path):
    rng = np.random.default_rng(5)
    proteins = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(5, 80))) for _ in range(60)]
    (tmp_path / "proteins.txt").write_text("\n".join(proteins))
    out = tmp_path / "s.zarr"
    command = [sys.executable, "-c", SCRIPT, str(esm2_folder), str(out), str(tmp_path / "proteins.txt")]
    for parts_before_the_kill in (1, 4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_one_thread())
        for _ in range(parts_before_the_kill):
            assert process.stdout.readline() == "part\n"
        time.sleep(0.01 * parts_before_the_kill)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not out.exists()
    committed = len(list(Path(f"{out}.parts").rglob("*.parquet")))
    assert committed >= 5
    last = subprocess.run(command, capture_output=True, text=True, check=True, env=_one_thread()).stdout.split()
    assert last.count("part") == 15 - committed
    undisturbed = tmp_path / "undisturbed.zarr"
    command[4] = str(undisturbed)
    subprocess.run(command, capture_output=True, check=True, env=_one_thread())
    assert_same_bits(arrays(out), arrays(undisturbed))


def _one_thread():
    import os

    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "cleanest"}, "Did you mean clean"),
        ({"device": "gpu"}, "unknown device"),
        ({"packet_size": 0}, "packet_size is 0"),
        ({"max_residues": -1}, "max_residues is -1"),
        ({"dtype": "int8"}, "cannot be stored"),
    ],
)
def test_embed_proteins__arguments_that_make_no_sense(change, message, request_esm, tmp_path):
    with pytest.raises(InputError, match=message):
        embed(["MKT"], [request_esm], tmp_path / "s.zarr", **change)
    assert list(tmp_path.iterdir()) == []


def test_embed_proteins__layer_not_in_the_model(esm2_folder, tmp_path):
    request = EmbeddingRequest(model_spec("ESM", esm2_folder), (0, 4), 4)
    with pytest.raises(InputError, match=r"layer 4 is not in ESM: it has layers 0 \.\. 3"):
        embed(["MKT"], [request], tmp_path / "s.zarr")


def test_embed_proteins__model_asked_for_twice(request_esm, tmp_path):
    with pytest.raises(InputError, match="asked for twice"):
        embed(["MKT"], [request_esm, request_esm], tmp_path / "s.zarr")


def test_embed_proteins__no_gpu(request_esm, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="no GPU was found"):
        embed(["MKT"], [request_esm], tmp_path / "s.zarr", device="cuda")
