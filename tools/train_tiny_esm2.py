"""Make the tiny checkpoint of the bundled sample: ESM-2's architecture, a few thousand steps of masked modelling.

It stands in for a real protein language model so that the sample runs offline, through the very code that loads the
real ones. Two candidates are made from one seed, the initial weights and the trained ones; each is asked for the
nearest reference of every query of the sample, and the one that finds more relatives is saved (at a tie, the one that
holds them further apart from the rest).

    python tools/train_tiny_esm2.py PROTEINS.fasta[.gz] --out fantasia_dask/sample/tiny-esm2
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import random
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import EsmConfig, EsmForMaskedLM, EsmModel, EsmTokenizer

from fantasia_dask.sequences import read_fasta

HERE = Path(__file__).resolve().parent
LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO.-"
# the 33 tokens of ESM-2, in its order
VOCABULARY = ["<cls>", "<pad>", "<eos>", "<unk>", *LETTERS, "<null_1>", "<mask>"]
CLS, PAD, EOS, MASK = 0, 1, 2, 32
STANDARD = range(4, 24)  # the twenty amino acids
IGNORED = -100  # what cross-entropy skips


def tiny_config() -> EsmConfig:
    """ESM-2's architecture, small."""
    return EsmConfig(
        vocab_size=len(VOCABULARY),
        mask_token_id=MASK,
        pad_token_id=PAD,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        emb_layer_norm_before=False,
        token_dropout=True,
        initializer_range=0.02,
    )


def encode(sequences: list[str]) -> list[torch.Tensor]:
    """One tensor of token numbers per sequence, without <cls> and <eos>."""
    number = {token: i for i, token in enumerate(VOCABULARY)}
    return [torch.tensor([number.get(letter, 3) for letter in sequence]) for sequence in sequences]


def padded(tokens: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token numbers and attention mask of a batch, both (n, longest + 2)."""
    longest = max(len(one) for one in tokens) + 2
    ids = torch.full((len(tokens), longest), PAD)
    for row, one in zip(ids, tokens, strict=True):
        row[: len(one) + 2] = torch.cat([torch.tensor([CLS]), one, torch.tensor([EOS])])
    return ids, (ids != PAD).long()


def masked(ids: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """BERT's corruption: of 15% of the residues 80% masked, 10% replaced, 10% left; returns input and labels."""
    residue = (ids >= STANDARD.start) & (ids < STANDARD.stop)
    draw = torch.rand(ids.shape, generator=generator)
    chosen = residue & (draw < 0.15)
    noise = torch.randint(STANDARD.start, STANDARD.stop, ids.shape, generator=generator)
    spoiled = torch.where(chosen & (draw < 0.12), torch.full_like(ids, MASK), ids)
    spoiled = torch.where(chosen & (draw >= 0.12) & (draw < 0.135), noise, spoiled)
    return spoiled, torch.where(chosen, ids, torch.full_like(ids, IGNORED))


def train(model: EsmForMaskedLM, tokens: list[torch.Tensor], *, steps: int, batch: int, crop: int, seed: int) -> float:
    """Train in place; returns the mean loss of the last hundredth of the steps, in nats per masked residue."""
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    losses, began = [], time.perf_counter()
    model.train()
    for step in range(steps):
        crops = []
        for one in draw.sample(tokens, batch):
            start = draw.randrange(max(1, len(one) - crop + 1))
            crops.append(one[start : start + crop])
        ids, attention = padded(crops)
        spoiled, labels = masked(ids, generator)
        loss = model(input_ids=spoiled, attention_mask=attention, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // 20) == 0:
            recent = float(np.mean(losses[-max(1, steps // 20) :]))
            print(f"step {step + 1}/{steps}: loss {recent:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
    model.eval()
    return float(np.mean(losses[-max(1, steps // 100) :]))


def embed(model: EsmModel, sequences: list[str]) -> np.ndarray:
    """Mean over residues of the last layer, shape (n, d), float32."""
    vectors = []
    for one in encode(sequences):
        ids, attention = padded([one])
        with torch.inference_mode():
            state = model(input_ids=ids, attention_mask=attention).last_hidden_state[0, 1:-1]
        vectors.append(state.mean(0).numpy())
    return np.stack(vectors)


def judge(model: EsmModel, records: list[dict[str, str]]) -> dict[str, float | int | str]:
    """Does every query of the sample find a relative first, by cosine?"""
    reference = [r for r in records if r["role"] == "reference"]
    queries = [r for r in records if r["role"] == "query"]
    unit = [
        v / np.linalg.norm(v, axis=1, keepdims=True)
        for v in (
            embed(model, [r["sequence"] for r in queries]),
            embed(model, [r["sequence"] for r in reference]),
        )
    ]
    similarity = unit[0] @ unit[1].T
    kin = np.array([[q["family"] == r["family"] for r in reference] for q in queries])
    best = [reference[i] for i in similarity.argmax(1)]
    margin = np.where(kin, similarity, -np.inf).max(1) - np.where(kin, -np.inf, similarity).max(1)
    for q, r, row, m in zip(queries, best, similarity, margin, strict=True):
        right = "same family" if q["family"] == r["family"] else "ANOTHER FAMILY"
        print(f"  {q['entry']:12} -> {r['entry']:12} distance {1 - row.max():.5f}, margin {m:+.5f}, {right}")
    five = np.take_along_axis(kin, np.argsort(-similarity, axis=1)[:, :5], axis=1)
    return {
        "queries": len(queries),
        "nearest_in_family": int((margin > 0).sum()),
        "median_margin": float(np.median(margin)),
        "kin_among_five": float(five.sum() / np.minimum(kin.sum(1), 5).sum()),
        "insulin_finds": best[[q["accession"] for q in queries].index("P01326")]["accession"],
    }


def save(model: EsmForMaskedLM, folder: Path) -> None:
    """Write the encoder and its tokenizer beside `folder`, then put them in its place."""
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name))
    (aside / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    tokenizer = EsmTokenizer(str(aside / "vocab.txt"), model_max_length=1024)
    tokenizer.save_pretrained(aside)
    model.esm.contact_head = None  # serves structure prediction, is untrained here and never loaded
    encoder = EsmModel(model.config, add_pooling_layer=False)
    missing, unexpected = encoder.load_state_dict(model.esm.state_dict(), strict=False)
    assert not unexpected, unexpected
    assert all(name.startswith("contact_head") for name in missing), missing
    encoder.save_pretrained(aside)
    shutil.rmtree(folder, ignore_errors=True)
    for file in (aside, *aside.iterdir()):  # temporary folders and safetensors are made private
        file.chmod(0o755 if file.is_dir() else 0o644)
    aside.replace(folder)


def main() -> None:
    """Make both candidates, compare them, keep the better."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("fasta", type=Path, help="proteins to learn from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--records", type=Path, default=HERE / "sample_records.tsv")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128, help="residues")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.records.open(newline="") as text:
        records = list(csv.DictReader(text, delimiter="\t"))
    sequences = [p.sequence for p in read_fasta(args.fasta) if len(p.sequence) >= 30]
    model = EsmForMaskedLM(tiny_config()).eval()
    candidates = {"random": copy.deepcopy(model)}
    print("random initialisation")
    figures = {"random": judge(model.esm, records)}
    loss = train(model, encode(sequences), steps=args.steps, batch=args.batch, crop=args.crop, seed=args.seed)
    candidates["trained"] = model
    print("trained")
    figures["trained"] = judge(model.esm, records) | {"loss": loss}
    kept = max(figures, key=lambda name: (figures[name]["nearest_in_family"], figures[name]["median_margin"]))
    save(candidates[kept], args.out)
    print(json.dumps({"kept": kept, "steps": args.steps, "proteins": len(sequences), **figures}, indent=1))


if __name__ == "__main__":
    main()
