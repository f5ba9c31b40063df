"""How good are transferred terms? Weighted Fmax per aspect on real proteins, against random donors.

The reference is yeast and E. coli, with UniRep vectors brought along (Alley et al. 2019; 1024 dimensions, float16);
the queries are 4,303 other proteins whose experimental terms are known. The five nearest donors lend their terms,
propagated to the ancestors over is_a and part_of.

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
from fantasia_dask.errors import FantasiaWarning
from fantasia_dask.interchange import import_vectors
from fantasia_dask.progress import Progress
from fantasia_dask.run_folder import RunFolder
from fantasia_dask.sequences import open_text

MODEL = "UniRep"
ASPECTS = {"molecular_function": "F", "biological_process": "P", "cellular_component": "C"}


def make_reference(data: Path, folder: Path) -> Path:
    """Build the reference from FASTA and annotations, with vectors brought along."""
    vectors = data / "embeddings"
    with warnings.catch_warnings():  # that 6,556 sequences have no vector in these files
        warnings.simplefilter("ignore", FantasiaWarning)
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


def term_scores(reference: Path, hits: pd.DataFrame) -> pd.DataFrame:
    """Score every term that a query's donors carry, ancestors included.

    The score is the share of the donors that carry the term, among those with any term of its aspect, each donor
    weighted by the inverse of its distance (Dudani 1976): a nearer donor says more, whatever the unit of distance.

    Returns
    -------
    DataFrame
        query, go_id, aspect, score.
    """
    bundle = open_reference(reference)
    ontology = Ontology(bundle.terms, bundle.relations)
    row = bundle.proteins.set_index("protein")["row"]
    direct = bundle.annotations.assign(row=bundle.annotations["protein"].map(row))[["row", "go_id"]].drop_duplicates()
    carried = pd.DataFrame(
        [
            (donor, term)
            for donor, terms in direct.groupby("row")["go_id"]
            for term in {implied for go_id in terms for implied in (go_id, *ontology.ancestors(go_id))}
        ],
        columns=["row", "go_id"],
    )
    carried["aspect"] = carried["go_id"].map(bundle.terms.set_index("go_id")["aspect"])
    # Equal vectors are at distance 0: they outweigh all others, and count alike among themselves.
    weighted = hits.assign(weight=1 / hits["distance"].clip(lower=1e-9))
    speaking = weighted.merge(carried[["row", "aspect"]].drop_duplicates(), on="row")
    whole = speaking.groupby(["query", "aspect"])["weight"].sum().rename("whole")
    scores = weighted.merge(carried, on="row").groupby(["query", "aspect", "go_id"])["weight"].sum().reset_index()
    scores = scores.merge(whole, on=["query", "aspect"])
    return scores.assign(score=scores["weight"] / scores["whole"])[["query", "go_id", "aspect", "score"]]


def weighted_fmax(scores: pd.DataFrame, truth: pd.DataFrame, information: pd.Series) -> dict[str, float]:
    """Return the largest weighted F over thresholds 0.01 apart, per aspect (Jiang et al. 2016).

    Precision is the mean over proteins with a prediction at the threshold, recall over all proteins with a known term
    in the aspect; both weigh a term by its information accretion.

    Parameters
    ----------
    scores
        accession, go_id, aspect, score.
    truth
        accession, go_id, aspect; propagated to the ancestors.
    information
        Information accretion by GO id; a term that is not listed weighs nothing.
    """
    best = {}
    for aspect, known in truth.groupby("aspect"):
        known = known.assign(weight=known["go_id"].map(information).fillna(0.0))
        wanted = known.groupby("accession")["weight"].sum()
        wanted = wanted[wanted > 0]
        said = scores[(scores["aspect"] == aspect) & scores["accession"].isin(wanted.index)]
        said = said.assign(weight=said["go_id"].map(information).fillna(0.0))
        said = said.merge(known[["accession", "go_id"]].assign(right=True), on=["accession", "go_id"], how="left")
        said["found"] = said["weight"].where(said["right"].notna(), 0.0)
        fs = [0.0]
        for threshold in np.arange(1, 101) / 100:
            sums = said[said["score"] >= threshold - 1e-9].groupby("accession")[["weight", "found"]].sum()
            sums = sums[sums["weight"] > 0]
            if len(sums) and sums["found"].any():
                precision = (sums["found"] / sums["weight"]).mean()
                recall = (sums["found"] / wanted[sums.index]).sum() / len(wanted)
                fs.append(2 * precision * recall / (precision + recall))
        best[str(aspect)] = max(fs)
    return best


def by_cafaeval(data: Path, folder: Path, scores: pd.DataFrame) -> dict[str, float]:
    """Return the same by cafaeval (Piovesan et al. 2024), which takes some minutes."""
    from cafaeval.evaluation import cafa_eval

    (folder / "predictions").mkdir()
    scores[["accession", "go_id", "score"]].to_csv(
        folder / "predictions" / "ours.tsv", sep="\t", header=False, index=False, float_format="%.4f"
    )
    read_truth(data)[["accession", "go_id"]].to_csv(folder / "truth.tsv", sep="\t", header=False, index=False)
    read_information(data).to_csv(folder / "ia.tsv", sep="\t", header=False)
    with open_text(data / "ontology" / "go_2024.obo.gz") as text:
        (folder / "go.obo").write_text(text.read())
    files = [str(folder / name) for name in ("go.obo", "predictions", "truth.tsv")]
    _, best = cafa_eval(*files, ia=str(folder / "ia.tsv"), th_step=0.01)
    table = best["f_w"].reset_index()
    return {ASPECTS[space]: float(f) for space, f in zip(table["ns"], table["f_w"], strict=True)}


def read_truth(data: Path) -> pd.DataFrame:
    return pd.read_csv(data / "e2e" / "truth.tsv.gz", sep="\t", dtype=str)


def read_information(data: Path) -> pd.Series:
    columns = {"names": ["go_id", "information"], "usecols": [0, 1]}
    return pd.read_csv(data / "e2e" / "IA.txt.gz", sep="\t", header=None, **columns).set_index("go_id")["information"]


def nearest_and_random(data: Path, folder: Path, k: int = 5) -> dict[str, pd.DataFrame]:
    """Return the term scores of the nearest donors, and of as many random ones."""
    reference = make_reference(data, folder)
    output = look_up(data, folder, reference, k)
    hits = output.read_hits(MODEL, 0)
    accession = pd.read_parquet(output.queries)["accession"]
    bundle = open_reference(reference)
    annotated = bundle.proteins.set_index("protein")["row"][bundle.annotations["protein"].unique()]
    donors = np.intersect1d(annotated, np.flatnonzero(bundle.store.present(MODEL, 0)))
    random = hits.assign(row=np.random.default_rng(0).choice(donors, len(hits)), distance=1.0)
    return {
        name: term_scores(reference, chosen).assign(accession=lambda scores: scores["query"].map(accession))
        for name, chosen in (("nearest", hits), ("random", random))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with e2e/, embeddings/ and ontology/")
    parser.add_argument("-k", type=int, default=5, help="donors per query")
    parser.add_argument("--cafaeval", action="store_true", help="let cafaeval judge too (pip install cafaeval)")
    arguments = parser.parse_args()
    begun = perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scores = nearest_and_random(arguments.data, folder, arguments.k)
        truth, information = read_truth(arguments.data), read_information(arguments.data)
        results = {donors: weighted_fmax(table, truth, information) for donors, table in scores.items()}
        print(f"weighted Fmax, k = {arguments.k}  ({perf_counter() - begun:.0f} s in all)")
        if arguments.cafaeval:
            results["nearest, by cafaeval"] = by_cafaeval(arguments.data, folder, scores["nearest"])
    print(f"{'donors':<22}" + "".join(f"{aspect:>7}" for aspect in "FPC"))
    for donors, aspects in results.items():
        print(f"{donors:<22}" + "".join(f"{aspects[aspect]:7.3f}" for aspect in "FPC"))


if __name__ == "__main__":
    main()
