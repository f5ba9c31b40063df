"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Continuous integration draws the same examples every time; at a desk hypothesis goes on looking for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and of FANTASIA's own outputs, beside the repository."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the real data that lies beside the repository (../shared)")
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """Inputs and outputs of FANTASIA itself."""
    return shared / "golden"


@pytest.fixture(scope="session")
def golden_reference(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference with the content of FANTASIA's database, made from the tables and vectors of the golden case."""
    import numpy as np
    import pandas as pd

    from fantasia_dask.reference.build import ReferenceTables, typed
    from fantasia_dask.reference.bundle import write_reference
    from fantasia_dask.reference.obo import read_obo
    from fantasia_dask.schema import ANNOTATIONS, ASPECTS, PROTEINS, TERMS, Space
    from fantasia_dask.store import StoreWriter

    inputs, folder = golden / "inputs", tmp_path_factory.mktemp("golden")

    def table(name: str) -> pd.DataFrame:
        return pd.read_csv(inputs / f"{name}.csv", dtype=str, keep_default_na=False)

    listed, annotated, terms = table("proteins"), table("annotations"), table("go_terms")
    # A sequence that belongs to no protein cannot lend anything; FANTASIA leaves it out too.
    sequences = table("sequences").query("sequence_id in @listed.sequence_id").reset_index(drop=True)
    row = {number: i for i, number in enumerate(sequences["sequence_id"])}
    rows = listed["sequence_id"].map(row).to_numpy()
    proteins = pd.DataFrame(
        {
            "protein": range(len(listed)),
            "row": rows,
            "accession": listed["protein_id"],
            "taxon": listed["taxonomy_id"].replace("", "0"),
            "organism": listed["organism"],
            "gene": listed["gene_name"],
            "length": sequences["sequence"].str.len().to_numpy()[rows],
            "sequence": sequences["sequence"].to_numpy()[rows],
        }
    )
    aspect = terms.set_index("go_id")["category"].map({category: letter for letter, category in ASPECTS.items()})
    annotations = pd.DataFrame(
        {
            "protein": annotated["protein_id"].map({name: i for i, name in enumerate(listed["protein_id"])}),
            "go_id": annotated["go_id"],
            "aspect": annotated["go_id"].map(aspect),
            "evidence": annotated["evidence_code"],
            "qualifier": "",
            "source": "",
            "date": "",
        }
    )
    named = pd.DataFrame({"go_id": terms["go_id"], "name": terms["description"], "aspect": aspect.to_numpy()})
    graph = read_obo(inputs / "go-basic.obo")
    tables = ReferenceTables(
        typed(proteins, PROTEINS),
        typed(annotations, ANNOTATIONS),
        typed(named.assign(obsolete=False, replaced_by=""), TERMS),
        graph.relations,
        {},
        graph.release,
    )
    vectors = np.load(inputs / "ref_embeddings.npz")
    place = {str(number): i for i, number in enumerate(vectors["sequence_id"])}
    order = [place[number] for number in sequences["sequence_id"]]
    spaces = {}
    for key in vectors.files[1:]:
        model, _, layer = key.partition("|L")
        spaces[key] = Space(model, int(layer), vectors[key].shape[1], profile="pis-3.1", dtype="float16")
    names = [protein.accession for protein in tables.representatives]
    with StoreWriter(
        folder / "e.zarr", ids=names, sequences=list(sequences["sequence"]), spaces=spaces.values()
    ) as writer:
        for key, space in spaces.items():
            writer.write(space, 0, vectors[key][order])
    return write_reference(folder / "reference", tables=tables, embeddings=folder / "e.zarr").path
