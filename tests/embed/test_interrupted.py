"""SIGKILL at random moments, started again each time: the store of an undisturbed run, bit for bit."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fantasia_dask.store import open_store
from tests.killing import told_by

SCRIPT = """
import json, random, sys, time
from pathlib import Path
import torch
from tests.killing import KILLED, ended, killed_after, rehearse, start
from fantasia_dask.embed.blocks import embed_proteins
from fantasia_dask.embed.models import EmbeddingRequest, model_spec
from fantasia_dask.sequences import read_fasta

folder, fasta, home, proteins, residues, when, times = sys.argv[1:]
proteins = read_fasta(fasta)[: int(proteins) or None]
home, rng, kills, stages = Path(home), random.Random(11), 0, []

def embed(out, proteins=proteins):
    torch.set_num_threads(1)
    embed_proteins([p.accession for p in proteins], [p.sequence for p in proteins],
        [EmbeddingRequest(model_spec("ESM", folder), (0, 1), 8)], out, profile="pis-3.1", device="cpu",
        packet_size=32, max_residues=int(residues))

def stage(out):
    parts = len(list(Path(f"{out}.parts").rglob("*.parquet")))
    if out.exists():
        return "stored"
    return "writing" if list(home.glob(f"*{out.name}*partial*")) else f"{parts} parts"

rehearse(lambda: embed(home / "rehearsed.zarr", proteins[:40]))
before, pid = time.perf_counter(), start(lambda: embed(home / "undisturbed.zarr"))
while stage(home / "undisturbed.zarr") == "0 parts":
    time.sleep(0.001)
loading = time.perf_counter() - before
assert ended(pid) == 0
whole = time.perf_counter() - before
earliest, latest = (loading / 2, loading + (whole - loading) / 10) if when == "embedding" else (0, 1.1 * whole)
life, stores = 0, []
while True:
    out = home / f"life{life}.zarr"
    pid = start(lambda: embed(out))
    code = killed_after(pid, rng.uniform(earliest, latest)) if kills < int(times) else ended(pid)
    if code == KILLED:
        kills += 1
        stages.append(stage(out))
    else:
        assert code == 0
        stores.append(out.name)
        life += 1
        if kills == int(times):
            break
left = [path.name for path in home.iterdir() if path.suffix != ".zarr"]
print(json.dumps({"seconds": whole, "kills": kills, "stages": stages, "stores": stores, "left": left}))
"""


def interrupted(checkpoint, fasta, home, proteins, residues, when, times):
    """Run the script; with `when` "embedding", a start does a tenth of the work at most, so that it takes them all."""
    told = told_by(SCRIPT, checkpoint, fasta, home, proteins, residues, when, times)
    assert told["kills"] == times
    return told


def assert_stores_equal(one, other):
    """Compare everything that a store holds; vectors bit for bit."""
    one, other = open_store(one), open_store(other)
    assert one.spaces == other.spaces
    assert list(one.ids) == list(other.ids)
    for space in one.spaces:
        key = (space.model, space.layer)
        np.testing.assert_array_equal(one.present(*key), other.present(*key))
        assert np.asarray(one.vectors(*key)).tobytes() == np.asarray(other.vectors(*key)).tobytes(), space


def check(told, home):
    assert told["left"] == [], "nothing is left behind when a run has come to its end"
    assert open_store(home / "undisturbed.zarr").present("ESM", 0).all()
    for name in told["stores"]:
        assert_stores_equal(home / name, home / "undisturbed.zarr")


def test_embed_proteins__killed_twenty_times_on_the_yeast_proteome(shared, smallest_esm_folder, tmp_path):
    """All 6,067 proteins, cut to 200 residues to keep the test short."""
    fasta = shared / "data" / "fasta" / "yeast.fasta.gz"
    told = interrupted(smallest_esm_folder, fasta, tmp_path, 0, 200, "embedding", 20)
    check(told, tmp_path)
    assert len(set(told["stages"]) - {"0 parts"}) > 5, "most starts go on where a killed one had come to"


def test_embed_proteins__killed_at_every_stage(shared, smallest_esm_folder, tmp_path):
    """A few proteins, so that kills fall into the loading, the writing of the store and the clearing up as well."""
    fasta = shared / "data" / "fasta" / "yeast.fasta.gz"
    check(interrupted(smallest_esm_folder, fasta, tmp_path, 300, 0, "any stage", 10), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("FANTASIA_SLOW") != "1", reason="takes some minutes: set FANTASIA_SLOW=1")
def test_embed_proteins__killed_twenty_times_on_the_whole_yeast_proteome(shared, smallest_esm_folder, tmp_path):
    fasta = shared / "data" / "fasta" / "yeast.fasta.gz"
    check(interrupted(smallest_esm_folder, fasta, tmp_path, 0, 0, "embedding", 20), tmp_path)
