"""CPU seconds of what comes after the lookup: annotation without alignments, alignments, and every file of a run.

A reference and queries are simulated at a realistic size: proteins of 380 residues on average, five GO annotations per
donor drawn from a graph of 40,000 terms, k = 5. The run is a real one, on vectors of 8 dimensions so that its lookup
costs nothing; then each stage and each export is made alone and its CPU time is taken, that of threads included.

    python benchmarks/report.py                       # 20,000 queries, 50,000 donors
    python benchmarks/report.py --alignments trace    # with alignments, some minutes
    python benchmarks/report.py --quick               # a tenth of both
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from fantasia_dask import run
from fantasia_dask.cluster import connect
from fantasia_dask.config import make_config
from fantasia_dask.pipeline.files import write_files
from fantasia_dask.pipeline.report import open_finished
from fantasia_dask.pipeline.terms import annotate
from fantasia_dask.progress import Progress
from fantasia_dask.reference.build import ReferenceTables, typed
from fantasia_dask.reference.bundle import write_reference
from fantasia_dask.run_folder import RunFolder
from fantasia_dask.schema import ANNOTATIONS, PROTEINS, RELATIONS, TERMS, Space
from fantasia_dask.settings import ExportName
from fantasia_dask.store import StoreWriter, remove

TERMS_IN_GRAPH = 40_000
TERMS_PER_DONOR = 5
RESIDUES = 380
LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def simulate_graph(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw a GO-like graph: three roots, each other term with one or two parents, some 13 ancestors on average."""
    number = np.arange(TERMS_IN_GRAPH)
    ids = np.array([f"GO:{i + 1:07d}" for i in number])
    aspects = np.array(list("PFC"))[number % 3]
    # A parent of the same aspect, at a share of the term's number: depths grow with the logarithm.
    edges = []
    for often, most in ((1.0, 0.5), (0.35, 0.3)):
        parent = (number * rng.uniform(0, most, len(ids))).astype(int)
        parent -= (parent - number) % 3
        kept = (parent >= 0) & (number >= 3) & (rng.random(len(ids)) < often)
        edges.append(pd.DataFrame({"child": ids[kept], "relation": "is_a", "parent": ids[parent[kept]]}))
    terms = pd.DataFrame({"go_id": ids, "name": [f"process number {i}" for i in number], "aspect": aspects})
    relations = pd.concat(edges, ignore_index=True).drop_duplicates()
    return typed(terms.assign(obsolete=False, replaced_by=""), TERMS), typed(relations, RELATIONS)


def simulate_sequences(rng: np.random.Generator, n: int) -> list[str]:
    """Draw proteins of log-normal length; they differ in where they begin in one long random text."""
    text = "".join(rng.choice(LETTERS, 2_000_000))
    lengths = np.clip(rng.lognormal(np.log(RESIDUES) - 0.18, 0.6, n), 40, 5000).astype(int)
    starts = rng.integers(0, len(text) - 5000, n)
    return ["M" + text[start : start + length - 1] for start, length in zip(starts, lengths, strict=True)]


def simulate_vectors(path: Path, prefix: str, n: int, spaces: list[Space], rng: np.random.Generator) -> list[str]:
    sequences = simulate_sequences(rng, n)
    with StoreWriter(path, ids=[f"{prefix}{i:06d}" for i in range(n)], sequences=sequences, spaces=spaces) as writer:
        for space in spaces:
            for start in range(0, n, writer.chunk_rows):
                rows = min(writer.chunk_rows, n - start)
                writer.write(space, start, rng.standard_normal((rows, space.dimension)).astype("float32"))
    return sequences


def simulate_run(folder: Path, queries: int, donors: int, layers: int, k: int) -> Path:
    """Make a finished run without alignments; return its folder."""
    rng = np.random.default_rng(0)
    spaces = [Space("Sim", layer, 8, "clean", "sim", "r1") for layer in range(layers)]
    sequences = simulate_vectors(folder / "reference.zarr", "P", donors, spaces, rng)
    simulate_vectors(folder / "queries.zarr", "Q", queries, spaces, rng)
    terms, relations = simulate_graph(rng)
    number = np.arange(donors)
    proteins = pd.DataFrame(
        {
            "protein": number,
            "row": number,
            "accession": [f"P{i:06d}" for i in number],
            "taxon": 9606,
            "organism": np.array(["Homo sapiens", "Mus musculus", "Saccharomyces cerevisiae"])[number % 3],
            "gene": [f"GEN{i}" for i in number],
            "length": [len(sequence) for sequence in sequences],
            "sequence": sequences,
        }
    )
    annotated = np.repeat(number, TERMS_PER_DONOR)
    # Few terms are common and most are rare: log-uniform.
    drawn = np.minimum((TERMS_IN_GRAPH ** rng.random(len(annotated))).astype(int), TERMS_IN_GRAPH - 3) + 2
    annotations = pd.DataFrame(
        {"protein": annotated, "go_id": terms["go_id"].to_numpy()[drawn], "aspect": terms["aspect"].to_numpy()[drawn]}
    )
    annotations = annotations.assign(
        evidence=np.array(["IDA", "EXP", "IMP"])[drawn % 3], qualifier="", source="PMID:1", date="20240101"
    )
    tables = ReferenceTables(
        typed(proteins, PROTEINS), typed(annotations, ANNOTATIONS), terms, relations, {}, "simulated"
    )
    write_reference(folder / "reference", tables=tables, embeddings=folder / "reference.zarr", move=True)
    config = make_config(
        {
            "input": str(folder / "queries.zarr"),
            "only_lookup": True,
            "reference": str(folder / "reference"),
            "base_directory": str(folder),
            "limit_per_entry": k,
            "alignments": "none",
            "embedding": {"models": {"Sim": {"layer_index": list(range(layers))}}},
        }
    )
    run(config, progress=Progress(quiet=True))
    return config.run_folder


@contextmanager
def taking(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note the CPU seconds of a block, those of its threads included."""
    begun = process_time()
    yield
    seconds[name] = process_time() - begun


def measure(folder: Path, alignments: str | None) -> dict[str, float]:
    """Return CPU seconds by stage, and by export: what it costs beyond a report without any."""
    seconds: dict[str, float] = {}
    quiet = Progress(quiet=True)
    bare: dict[str, Any] = {
        "exports": [],
        "report": False,
        "topgo": False,
        "postprocess.summary.enabled": False,
    }
    with connect("local") as client:
        if alignments:
            with taking(seconds, f"alignments ({alignments}) and annotation"):
                annotate(open_finished(folder, {"alignments": alignments}), client, quiet)
            annotated = {"alignments": alignments}
        else:
            remove(RunFolder(folder).annotations)
            with taking(seconds, "annotation, no alignments"):
                annotate(open_finished(folder), client, quiet)
            annotated = {}
    exports = {
        "report without exports": {},
        "summary": {"postprocess.summary.enabled": True},
        "topgo": {"topgo": True},
        "report.html": {"report": True},
        **{name: {"exports": [name]} for name in get_args(ExportName)},
        "consensus, propagated": {"exports": ["consensus"], "postprocess.terms": "propagated"},
        "consensus, specific": {"exports": ["consensus"], "postprocess.terms": "specific"},
        "raw_csv": {"raw_csv": True},
    }
    for name, changes in exports.items():
        RunFolder(folder).clear_exports()
        with taking(seconds, name):
            write_files(open_finished(folder, annotated | bare | changes), quiet)
    floor = seconds["report without exports"]
    seconds |= {name: seconds[name] - floor for name in list(exports)[1:]}
    RunFolder(folder).clear_exports()
    with taking(seconds, "whole report, as usual"):
        write_files(open_finished(folder, annotated), quiet)
    with taking(seconds, "whole report, all finished"):
        write_files(open_finished(folder, annotated), quiet)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--donors", type=int, default=50_000)
    parser.add_argument("--layers", type=int, default=1, help="embedding spaces")
    parser.add_argument("-k", type=int, default=5, help="neighbours per query")
    parser.add_argument("--alignments", choices=("trace", "statistics"), help="align too, which takes minutes")
    parser.add_argument("--quick", action="store_true", help="a tenth of queries and donors")
    arguments = parser.parse_args()
    size = 10 if arguments.quick else 1
    queries, donors = arguments.queries // size, arguments.donors // size
    with tempfile.TemporaryDirectory() as name:
        folder = simulate_run(Path(name), queries, donors, arguments.layers, arguments.k)
        seconds = measure(folder, arguments.alignments)
        rows = sum(pq.ParquetFile(part).metadata.num_rows for part in folder.glob("annotations/*/*/*.parquet"))
    print(f"{queries} queries, k = {arguments.k}, {arguments.layers} spaces, {rows} raw rows: CPU seconds")
    for what, taken in seconds.items():
        print(f"{what:<40}{taken:8.2f}")


if __name__ == "__main__":
    main()
