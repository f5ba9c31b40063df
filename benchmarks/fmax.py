"""How good are transferred terms? Weighted Fmax per aspect on real proteins, against random donors.

The reference is yeast and E. coli, with UniRep vectors brought along (Alley et al. 2019; 1024 dimensions, float16);
the queries are 4,303 other proteins whose experimental terms are known. The five nearest donors lend their terms,
propagated to the ancestors over is_a and part_of; a term's score is the share of donors that carry it. cafaeval
(Piovesan et al. 2024) judges: precision and recall weighted by information accretion, at thresholds 0.01 apart.

    python benchmarks/fmax.py ../shared/data
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from fantasia_dask import build_reference, open_reference, run
from fantasia_dask.annotate.ontology import Ontology
from fantasia_dask.config import make_config
from fantasia_dask.interchange import import_vectors
from fantasia_dask.progress import Progress
from fantasia_dask.run_folder import RunFolder
from fantasia_dask.sequences import open_text

MODEL = "UniRep"
ASPECTS = {"molecular_function": "F", "biological_process": "P", "cellular_component": "C"}


def make_reference(data: Path, folder: Path) -> Path:
    """Build the reference from FASTA and annotations, with vectors brought along."""
    vectors = data / "embeddings"
    return build_reference(
        folder / "reference",
        fasta=data / "e2e" / "reference.fasta.gz",
        annotations=data / "e2e" / "reference_annotations.tsv.gz",
        ontology=data / "ontology" / "go_2024.obo.gz",
        model=MODEL,
        embeddings=[vectors / "yeast_UP000002311_unirep256.npz", vectors / "ecoli_UP000000625_unirep256.npz"],
        vectors_key="all_mean",
    ).path


def look_up(data: Path, folder: Path, reference: Path, k: int) -> RunFolder:
    """Run the lookup and the transfer, `only_lookup`."""
    queries = folder / "queries.zarr"
    import_vectors(data / "embeddings" / "validate_goa216_unirep256.npz", queries, model=MODEL, layer=0, key="all_mean")
    config = make_config(
        {
            "input": str(queries),
            "only_lookup": True,
            "base_directory": str(folder),
            "prefix": "fmax",
            "reference": str(reference),
            "limit_per_entry": k,
            "alignments": "none",
            "embedding": {"models": {MODEL: {}}},
        }
    )
    run(config, progress=Progress(quiet=True))
    return RunFolder(config.run_folder)


def propagated_terms(reference: Path) -> dict[int, frozenset[str]]:
    """Return the terms of each reference row with all their ancestors."""
    bundle = open_reference(reference)
    ontology = Ontology(bundle.terms, bundle.relations)
    row = bundle.proteins.set_index("protein")["row"]
    direct = bundle.annotations.groupby(bundle.annotations["protein"].map(row))["go_id"].agg(set)
    return {
        int(r): frozenset(t for go_id in terms for t in (go_id, *ontology.ancestors(go_id)))
        for r, terms in direct.items()
    }


def write_predictions(path: Path, accessions: pd.Series, hits: pd.DataFrame, terms: dict[int, frozenset[str]]) -> None:
    """Write `target GO score`: the share of a query's donors that carry the term."""
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        for query, rows in hits.groupby("query")["row"]:
            carried: dict[str, int] = {}
            for row in rows:
                for term in terms.get(row, ()):
                    carried[term] = carried.get(term, 0) + 1
            file.writelines(f"{accessions[query]}\t{term}\t{n / len(rows):.4f}\n" for term, n in carried.items())


def evaluate(data: Path, folder: Path, predictions: Path) -> dict[str, float]:
    """Return the weighted Fmax per aspect, as cafaeval computes it."""
    from cafaeval.evaluation import cafa_eval

    plain = {}
    for name, source in (
        ("go.obo", data / "ontology" / "go_2024.obo.gz"),
        ("truth.tsv", data / "e2e" / "truth.tsv.gz"),
        ("ia.tsv", data / "e2e" / "IA.txt.gz"),
    ):
        plain[name] = folder / name
        with open_text(source) as text:
            lines = text.read().splitlines()
        if name == "truth.tsv":
            lines = ["\t".join(line.split("\t")[:2]) for line in lines[1:]]
        elif name == "ia.tsv":
            lines = ["\t".join(line.split("\t")[:2]) for line in lines]
        plain[name].write_text("\n".join(lines) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, best = cafa_eval(
            str(plain["go.obo"]), str(predictions), str(plain["truth.tsv"]), ia=str(plain["ia.tsv"]), th_step=0.01
        )
    table = best["f_w"].reset_index()
    return {ASPECTS[space]: float(f) for space, f in zip(table["ns"], table["f_w"], strict=True)}


def weighted_fmax(data: Path, folder: Path, k: int = 5) -> dict[str, dict[str, float]]:
    """Return the weighted Fmax per aspect of the nearest donors and of random ones."""
    reference = make_reference(data, folder)
    output = look_up(data, folder, reference, k)
    hits = pd.read_parquet(output.hits(MODEL, 0))
    accessions = pd.read_parquet(output.queries)["accession"]
    terms = propagated_terms(reference)
    rng = np.random.default_rng(0)
    store = open_reference(reference).store
    donors = np.intersect1d(np.fromiter(terms, "int64"), np.flatnonzero(store.present(MODEL, 0)))
    results = {}
    for name, rows in (("nearest", hits["row"]), ("random", rng.choice(donors, len(hits)))):
        predictions = folder / f"predictions_{name}"
        write_predictions(predictions / f"{name}.tsv", accessions, hits.assign(row=rows), terms)
        results[name] = evaluate(data, folder, predictions)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with e2e/, embeddings/ and ontology/")
    parser.add_argument("-k", type=int, default=5, help="donors per query")
    arguments = parser.parse_args()
    begun = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        results = weighted_fmax(arguments.data, Path(folder), arguments.k)
    print(f"weighted Fmax, k = {arguments.k}  ({perf_counter() - begun:.0f} s in all)")
    print("donors      F      P      C")
    for name, aspects in results.items():
        print(f"{name:<8}" + "".join(f"{aspects[a]:7.3f}" for a in "FPC"))


if __name__ == "__main__":
    main()
