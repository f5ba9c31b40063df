"""Runs in a row, in one process and on one long-lived cluster: memory does not grow, no file or port is left behind.

The long form is the yeast proteome (6,067 proteins) in three tiny models of two layers, twenty times. What is cut, so
that it ends within minutes: sequences to their first 40 residues, models to two blocks of eight dimensions, donors to
500 simulated proteins, neighbours to one, and the order of an alignment is counted without its trace. The short form
has 50 of the proteins that `simulate_proteins` draws, and no page.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml

from fantasia_dask.schema import Space
from fantasia_dask.sequences import read_fasta
from fantasia_dask.testing import simulate_proteins, simulate_reference
from tests.embed.conftest import ESM_VOCAB, T5_LETTERS

MODELS = ("ESM", "Prot-T5", "ESM3c")
DIMENSION = 8
RESIDUES = 40

POOL = 4
"""Threads by which asyncio's pool, which zarr reads with, may still fill up: it starts them as it needs them."""

SHORT_LOGS = {"DASK_DISTRIBUTED__ADMIN__LOG_LENGTH": "100", "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "100"}
"""Dask's scheduler keeps its last ten thousand entries, which twenty runs do not fill: they would look like a leak."""

THEIRS = ("scratch/torchinductor_", "scratch/dask-scratch-space")
"""What torch caches, and what the long-lived cluster of the test keeps while it runs."""


def checkpoints(home: Path) -> dict[str, Path]:
    """Save a random checkpoint of two blocks in place of each model."""
    import torch
    from transformers import (
        EsmcConfig,
        EsmcModel,
        EsmConfig,
        EsmcTokenizer,
        EsmModel,
        EsmTokenizer,
        T5Config,
        T5EncoderModel,
        T5Tokenizer,
    )

    torch.manual_seed(1)
    folders = {key: home / key for key in MODELS}
    for folder in folders.values():
        folder.mkdir()
    small = {"hidden_size": DIMENSION, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 1}
    (home / "vocab.txt").write_text("\n".join(ESM_VOCAB))
    EsmTokenizer(str(home / "vocab.txt")).save_pretrained(folders["ESM"])
    esm2 = EsmConfig(
        vocab_size=len(ESM_VOCAB), position_embedding_type="rotary", pad_token_id=1, mask_token_id=32, **small
    )
    EsmModel(esm2, add_pooling_layer=False).save_pretrained(folders["ESM"])
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -10.0)]
    pieces += [(f"▁{letter}", -1.0 - i / 100) for i, letter in enumerate(T5_LETTERS)]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0)
    tokenizer.save_pretrained(folders["Prot-T5"])
    t5 = T5Config(vocab_size=len(tokenizer), d_model=DIMENSION, d_kv=8, d_ff=16, num_layers=2, num_heads=1)
    T5EncoderModel(t5).save_pretrained(folders["Prot-T5"])
    EsmcTokenizer().save_pretrained(folders["ESM3c"])
    EsmcModel(EsmcConfig(**small)).save_pretrained(folders["ESM3c"])
    return folders


def world(home: Path, proteins: Iterable[tuple[str, str]], donors: int, **settings) -> None:
    """Write proteins, checkpoints, a reference and the configuration."""
    (home / "proteins.fasta").write_text("".join(f">{name}\n{sequence}\n" for name, sequence in proteins))
    folders = checkpoints(home)
    spaces = tuple(Space(key, layer, DIMENSION, "clean") for key in folders for layer in (0, 1))
    simulate_reference(home / "reference", donors, spaces)
    for name in ("scratch", "here"):
        (home / name).mkdir()
    models = {
        key: {"checkpoint": str(folder), "layer_index": [0, 1], "batch_size": 256} for key, folder in folders.items()
    }
    configuration = {
        "input": str(home / "proteins.fasta"),
        "reference": str(home / "reference"),
        "base_directory": str(home),
        "limit_per_entry": 1,
        "alignments": "statistics",
        "embedding": {"device": "cpu", "queue_batch_size": 2048, "models": models},
    }
    (home / "config.yaml").write_text(yaml.safe_dump(configuration | settings))


def soak(home: Path, form: str, runs: int) -> list[dict]:
    """Run them in a process of their own, whose current folder and temporary folder are looked at too."""
    script = Path(__file__).with_name("soak.py")
    environment = {**os.environ, "TMPDIR": str(home / "scratch"), "OMP_NUM_THREADS": "1", **SHORT_LOGS}
    command = [sys.executable, "-W", "ignore", str(script), str(home), form, str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment, cwd=home / "here")
    assert done.returncode == 0
    series = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(series) == runs
    for name in series[0]["processes"]:
        for what in ("rss", "files", "threads", "sockets", "listening"):
            values = [told["processes"][name][what] for told in series]
            print(f"{form}, {name}, {what}:", [round(v / 1e6) for v in values] if what == "rss" else values)
    print("seconds:", [told["seconds"] for told in series])
    return series


def assert_steady(series: list[dict], warm: int, megabytes: float) -> None:
    """After the first `warm` runs nothing grows: a fitted line of the memory rises by less than so many megabytes."""
    later = series[warm:]
    for name in later[0]["processes"]:
        held = {what: [told["processes"][name][what] for told in later] for what in later[0]["processes"][name]}
        slope = np.polyfit(range(len(later)), held.pop("rss"), 1)[0]
        assert slope * (len(later) - 1) < megabytes * 1e6, f"memory of {name}"
        for what, values in held.items():
            half = len(values) // 2
            more = POOL if what == "threads" else 0
            assert max(values[half:]) <= max(values[:half]) + more, f"{what} of {name}: {values}"
    assert {told["children"] for told in later} == {later[0]["children"]}
    assert {left for told in later for left in told["left"] if not left.startswith(THEIRS)} == set()


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", ["process", "cluster"])
def test_soak__yeast_twenty_times(shared, tmp_path, form):
    with gzip.open(shared / "data" / "fasta" / "yeast.fasta.gz", "rt") as file:
        (tmp_path / "yeast.fasta").write_text(file.read())
    proteins = [(p.accession, p.sequence[:RESIDUES]) for p in read_fasta(tmp_path / "yeast.fasta")]
    assert len(proteins) == 6067
    world(tmp_path, proteins, donors=500)
    series = soak(tmp_path, form, 20)
    assert {told["annotated"] for told in series} == {6067}
    # Fragments of memory, and what torch and Arrow keep, level off after ten or twelve runs.
    assert_steady(series, warm=10, megabytes=12)


@pytest.mark.parametrize("form", ["process", pytest.param("cluster", marks=pytest.mark.faults)])
def test_soak__a_few_small_runs(tmp_path, form):
    proteins = [(p.accession, p.sequence) for p in islice(simulate_proteins(50, shortest=30, longest=60), 50)]
    world(tmp_path, proteins, donors=40, report=False)
    assert_steady(soak(tmp_path, form, 6), warm=2, megabytes=20)
