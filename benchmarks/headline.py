"""A simulated job of the size of FANTASIA's published one, end to end, without alignments.

It has 20,223 queries, 123,977 references, d = 1024 and k = 5; vectors, sequences, annotations and ontology are drawn.
`fantasia_dask.run` with `only_lookup` goes from vectors on disk to neighbours, GO terms and every export. Each round
starts without results and with the reference dropped from the system's cache of files, and is followed by the bare
float32 product of the same job from memory. FANTASIA published 1,836 s for the distances on a CPU, and 127 s of wall
time for the whole on an RTX 3090 Ti.

    python benchmarks/headline.py --folder /scratch/bench
    python benchmarks/headline.py --quick
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pandas as pd
from contest import (
    MODEL,
    arguments,
    folder_of,
    forget,
    in_memory,
    print_machine,
    print_table,
    product,
    spread,
    store_of,
    usable_threads,
    warm_up,
)

from fantasia_dask import run
from fantasia_dask.config import Config, make_config
from fantasia_dask.progress import Progress
from fantasia_dask.reference.build import ReferenceTables, typed
from fantasia_dask.reference.bundle import write_reference
from fantasia_dask.schema import ANNOTATIONS, PROTEINS, RELATIONS, TERMS
from fantasia_dask.store import open_store

TERMS_OF_GO = 12_000
ANNOTATIONS_EACH = 5  # 627,932 of 124,397 sequences in FANTASIA-Lite's bundle
RESIDUES = 380
PUBLISHED_SIZE = (20_223, 123_977)
PUBLISHED = {"distances on a CPU": 1836, "whole, RTX 3090 Ti": 127}


def main() -> None:
    parser = arguments(__doc__, references=PUBLISHED_SIZE[1], queries=PUBLISHED_SIZE[0], workers=1)
    parser.add_argument("-k", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.references, options.queries = min(options.references, 10_000), min(options.queries, 2_000)
        options.rounds = min(options.rounds, 2)
    print_machine()
    with folder_of(options.folder) as folder:
        reference = reference_of(folder, options.references, options.dimensions)
        sequences = drawn_sequences(options.queries, 4)
        queries = store_of(folder, "proteome", options.queries, options.dimensions, 3, sequences)
        warm_up(queries)
        config = make_config(
            {
                "input": str(queries),
                "only_lookup": True,
                "reference": str(reference),
                "base_directory": str(folder),
                "prefix": "headline",
                "limit_per_entry": options.k,
                "alignments": "none",
                "cluster": {"kind": "local", "workers": options.workers},
                "embedding": {"models": {MODEL: {"layer_index": [0]}}},
            }
        )
        report(config, queries, reference, options.rounds)


def report(config: Config, queries: Path, reference: Path, rounds: int) -> None:
    """Run the job in rounds, and print its stages against the bare product."""
    stages: dict[str, list[float]] = {}
    bare: list[float] = []
    vectors = reference / "embeddings.zarr"
    for _ in range(rounds):
        for name, seconds in stages_of(config, vectors).items():
            stages.setdefault(name, []).append(seconds)
        bare.append(seconds_of_product(queries, vectors))
    rows = [
        (name, spread(times, 1), spread([t / b for t, b in zip(times, bare, strict=True)]))
        for name, times in [("bare product", bare), *stages.items()]
    ]
    print_table(("stage", "seconds", "÷ bare product"), rows)
    folder = config.run_folder
    counts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["counts"]
    written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{counts['protein_term_pairs']:,} pairs of protein and term; {written / 1e6:,.0f} MB of results")
    if (len(open_store(queries)), len(open_store(vectors))) == PUBLISHED_SIZE:
        for what, seconds in PUBLISHED.items():
            ours = stages["lookup" if "distances" in what else "whole"]
            print(f"FANTASIA, {what}: {seconds} s as published; here {median(ours):.1f} s")


def stages_of(config: Config, vectors: Path) -> dict[str, float]:
    """Run the job from nothing, its reference cold; return the wall time of each stage, and of the whole."""
    shutil.rmtree(config.run_folder, ignore_errors=True)
    forget(vectors)
    begun = perf_counter()
    run(config, progress=Progress(quiet=True))
    whole = perf_counter() - begun
    noted = json.loads((config.run_folder / "manifest.json").read_text(encoding="utf-8"))["stages"]
    stages = {name: stage["seconds"] for name, stage in noted.items()}
    return {**stages, "between stages": whole - sum(stages.values()), "whole": whole}


def seconds_of_product(queries: Path, vectors: Path) -> float:
    """Time the bare product of the same job, from memory."""
    asked, donors = open_store(queries), open_store(vectors)
    q32, r32 = in_memory(asked, len(asked)).astype("f4"), in_memory(donors, len(donors)).astype("f4")
    begun = perf_counter()
    product(q32, r32, usable_threads())
    return perf_counter() - begun


# The reference -------------------------------------------------------------------------------------------------------


def drawn_sequences(n: int, seed: int) -> list[str]:
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"), "S1")
    text = np.random.default_rng(seed).choice(letters, n * RESIDUES).tobytes().decode()
    return [text[i : i + RESIDUES] for i in range(0, n * RESIDUES, RESIDUES)]


def reference_of(folder: Path, n: int, d: int) -> Path:
    """Return the path of a reference of n proteins with GO terms, made unless it is there."""
    path = folder / f"headline-reference-{n}x{d}"
    if path.exists():
        return path
    sequences = drawn_sequences(n, 5)
    vectors = store_of(folder, "donors", n, d, 1, sequences)
    number = np.arange(n)
    proteins = pd.DataFrame(
        {
            "protein": number,
            "row": number,
            "accession": open_store(vectors).ids,
            "taxon": 9606,
            "organism": "Homo sapiens",
            "gene": [f"gene{i}" for i in number],
            "length": RESIDUES,
            "sequence": sequences,
        }
    )
    terms, relations = drawn_ontology()
    tables = ReferenceTables(
        typed(proteins, PROTEINS),
        typed(drawn_annotations(n, terms), ANNOTATIONS),
        typed(terms.assign(obsolete=False, replaced_by=""), TERMS),
        typed(relations, RELATIONS),
        {},
        "simulated",
    )
    return write_reference(path, tables=tables, embeddings=vectors, move=True).path


def drawn_ontology() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw terms of three aspects, each below one or two that came before it in its aspect."""
    rng = np.random.default_rng(6)
    number = np.arange(TERMS_OF_GO)
    ids = np.array([f"GO:{i:07d}" for i in number])
    terms = pd.DataFrame(
        {"go_id": ids, "name": [f"term {i}" for i in number], "aspect": np.array(list("PFC"))[number % 3]}
    )
    child = np.repeat(number[3:], rng.integers(1, 3, TERMS_OF_GO - 3))
    parent = (rng.random(len(child)) * (child // 3)).astype(int) * 3 + child % 3
    relations = pd.DataFrame({"child": ids[child], "relation": "is_a", "parent": ids[parent]})
    return terms, relations.drop_duplicates(ignore_index=True)


def drawn_annotations(n: int, terms: pd.DataFrame) -> pd.DataFrame:
    """Draw terms for every protein, few of them often and most of them seldom, as they are in GO."""
    rng = np.random.default_rng(7)
    protein = np.repeat(np.arange(n), rng.poisson(ANNOTATIONS_EACH - 1, n) + 1)
    chosen = np.minimum(rng.zipf(1.3, len(protein)) - 1, TERMS_OF_GO - 1)
    chosen = np.where(chosen == TERMS_OF_GO - 1, rng.integers(0, TERMS_OF_GO, len(protein)), chosen)
    frame = pd.DataFrame({"protein": protein, "go_id": terms["go_id"].to_numpy()[chosen]})
    frame = frame.drop_duplicates(ignore_index=True)
    aspect = terms.set_index("go_id")["aspect"]
    return frame.assign(
        aspect=aspect.loc[frame["go_id"]].to_numpy(), evidence="IDA", qualifier="", source="PMID:1", date="20251201"
    )


if __name__ == "__main__":
    main()
