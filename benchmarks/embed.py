"""Residues per second of the embedding stage against a plain loop over transformers' model.

An ESM-2 of the size of ESM2-8M with random weights (built on the fly: speed does not depend on them), the same batch
size, threads and precision for all; every contender runs once per repeat, in turn, so that a busy machine is unfair
to none. The medians are printed, and how each compares with the plain loop over proteins sorted by length.

    python benchmarks/embed.py ../shared/data/fasta/yeast.fasta.gz
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from transformers import EsmConfig, EsmModel, EsmTokenizer, logging

from fantasia_dask.embed import resident
from fantasia_dask.embed.blocks import embed_proteins
from fantasia_dask.embed.models import EmbeddingRequest, ModelSpec, model_spec
from fantasia_dask.embed.worker import BATCH_RESIDUES, Packet, cut_batches, embed_sequences
from fantasia_dask.sequences import read_fasta
from fantasia_dask.store import open_store
from fantasia_dask.testing import simulate_proteins

VOCABULARY = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
BASELINE = "plain loop, sorted by length"


def make_checkpoint(folder: Path, blocks: int, width: int) -> ModelSpec:
    """Save an ESM-2 with random weights."""
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=20 if width % 20 == 0 else 4,
        intermediate_size=4 * width,
        position_embedding_type="rotary",
        pad_token_id=1,
        mask_token_id=32,
        token_dropout=True,
        emb_layer_norm_before=False,
    )
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    return model_spec("ESM2-random", folder, "esm2")


def choose_proteins(fasta: str | None, n: int) -> list[str]:
    """Draw n proteins, without those that no plain loop would take."""
    if fasta is None:
        return [protein.sequence for protein in simulate_proteins(n, shortest=50, longest=1200)]
    known = [p.sequence for p in read_fasta(fasta, skip_invalid=True) if 0 < len(p.sequence) <= 3000]
    return random.Random(0).sample(known, min(n, len(known)))


def plain_loop(spec: ModelSpec, device: str, batch_size: int) -> Callable[[Sequence[str]], np.ndarray]:
    """Return what a user would write: tokenizer, model, mean over the residues of the last layer."""
    tokenizer = EsmTokenizer.from_pretrained(spec.checkpoint)
    model = EsmModel.from_pretrained(spec.checkpoint, add_pooling_layer=False, dtype=torch.float32).eval().to(device)

    def run(sequences: Sequence[str]) -> np.ndarray:
        vectors = []
        for start in range(0, len(sequences), batch_size):
            batch = tokenizer(list(sequences[start : start + batch_size]), padding=True, return_tensors="pt").to(device)
            with torch.inference_mode():
                hidden = model(**batch).last_hidden_state
            ids = batch["input_ids"]
            residues = ((ids != 0) & (ids != 1) & (ids != 2)).unsqueeze(-1)
            vectors.append(((hidden * residues).sum(1) / residues.sum(1)).cpu().numpy())
        return np.concatenate(vectors)

    return run


def bare_forward(spec: ModelSpec, sequences: Sequence[str], device: str, batch_size: int) -> Callable[[], None]:
    """Return the model alone on our own batches, already padded and on the device."""
    loaded = resident.load(spec, device)
    inputs = []
    for rows in cut_batches([len(s) for s in sequences], batch_size, BATCH_RESIDUES[device]):
        ids, mask, _ = resident._padded(loaded, [sequences[row] for row in rows], "clean")
        inputs.append((torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)))

    def run() -> None:
        with torch.inference_mode():
            for ids, mask in inputs:
                loaded.model(input_ids=ids, attention_mask=mask)

    return run


def contenders(
    spec: ModelSpec, sequences: list[str], device: str, batch_size: int, folder: Path
) -> dict[str, Callable[[], np.ndarray | None]]:
    """Return everything that is measured, by name; each gives the vectors in the order of `sequences`."""
    loop = plain_loop(spec, device, batch_size)
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    packet = Packet(spec, (0,), "clean", batch_size, device, tuple(sequences), "")
    forward = bare_forward(spec, sequences, device, batch_size)

    def in_order() -> np.ndarray:
        return loop(sequences)

    def sorted_by_length() -> np.ndarray:
        vectors = loop([sequences[i] for i in order])
        return vectors[np.argsort(order)]

    def one_packet() -> np.ndarray:
        return embed_sequences(packet)[0][:, 0]

    def whole_stage() -> np.ndarray:
        resident.release()
        with tempfile.TemporaryDirectory(dir=folder) as out:
            ids = [f"P{i}" for i in range(len(sequences))]
            request = EmbeddingRequest(spec, (0,), batch_size)
            embed_proteins(ids, sequences, [request], Path(out, "s.zarr"), profile="clean", device=device)
            return np.asarray(open_store(Path(out, "s.zarr")).vectors(spec.key, 0))

    return {
        "plain loop, as given": in_order,
        BASELINE: sorted_by_length,
        "bare forward pass, our batches": forward,
        "fantasia-dask, model loaded": one_packet,
        "fantasia-dask, whole stage": whole_stage,
    }


def measure(
    named: dict[str, Callable[[], np.ndarray | None]], repeats: int, device: str
) -> tuple[dict[str, list[float]], float]:
    """Run every contender once per repeat, in turn; return seconds, and the largest difference of the vectors."""
    seconds: dict[str, list[float]] = {name: [] for name in named}
    difference, truth = 0.0, None
    for repeat in range(repeats + 1):
        for name, run in named.items():
            if device == "cuda":
                torch.cuda.synchronize()
            start = perf_counter()
            vectors = run()
            if device == "cuda":
                torch.cuda.synchronize()
            if repeat:  # the first round warms up
                seconds[name].append(perf_counter() - start)
            if vectors is not None:
                truth = vectors if truth is None else truth
                difference = max(difference, float(np.abs(vectors - truth).max() / np.abs(truth).max()))
    return seconds, difference


def table(seconds: dict[str, list[float]], residues: int) -> str:
    """Return the medians; the ratio is the median of the ratios within one repeat."""
    lines = [
        "| what | residues per second | times the sorted loop (range) |",
        "| --- | ---: | ---: |",
    ]
    for name, times in seconds.items():
        ratios = [base / own for base, own in zip(seconds[BASELINE], times, strict=True)]
        lines.append(
            f"| {name} | {residues / median(times):,.0f} | {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", nargs="?", help="proteins to draw from; by default simulated ones")
    parser.add_argument("--proteins", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="24 proteins, a model of 4 x 128, 2 repeats")
    options = parser.parse_args()
    if options.quick:
        options.proteins, options.repeats, options.blocks, options.width = 24, 2, 4, 128
    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    sequences = choose_proteins(options.fasta, options.proteins)
    residues = sum(map(len, sequences))
    with tempfile.TemporaryDirectory() as scratch:
        spec = make_checkpoint(Path(scratch), options.blocks, options.width)
        named = contenders(spec, sequences, options.device, options.batch_size, Path(scratch))
        seconds, difference = measure(named, options.repeats, options.device)
    print(
        f"{len(sequences)} proteins, {residues:,} residues; {options.blocks} blocks x {options.width}, batch size "
        f"{options.batch_size}, {options.device}, {options.threads} thread(s), {options.repeats} repeats; vectors "
        f"agree within {difference:.0e}\n"
    )
    print(table(seconds, residues))


if __name__ == "__main__":
    main()
