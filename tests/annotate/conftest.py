"""The golden case as the tables that the annotation stage is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from fantasia_dask.schema import HITS, names


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@dataclass
class GoldenTables:
    folder: Path
    proteins: pd.DataFrame
    annotations: pd.DataFrame
    terms: pd.DataFrame
    queries: pd.DataFrame
    rows: dict[str, int]

    def hits(self, model, layer, *, metric, threshold, rows, k=5):
        """Float64 brute force, ties by row."""
        import h5py

        type_id = {"ESM": 1, "Prot-T5": 3}[model]
        vectors = np.load(self.folder / "inputs" / "ref_embeddings.npz")
        reference = vectors[f"{model}|L{layer}"].astype("float64")
        order = np.array([self.rows[str(i)] for i in vectors["sequence_id"]])
        lines = []
        with h5py.File(self.folder / "inputs" / "queries.h5") as file:
            for query, accession in enumerate(self.queries["accession"]):
                key = f"accession_{accession}/type_{type_id}/layer_{layer}/embedding"
                if key not in file:
                    continue
                d = cdist(np.asarray(file[key], "float64").reshape(1, -1), reference, metric)[0]
                allowed = np.isin(order, rows) & (d <= (threshold or np.inf))
                nearest = np.lexsort((order, d))
                nearest = nearest[allowed[nearest]][:k]
                lines += [(query, rank + 1, order[i], d[i]) for rank, i in enumerate(nearest)]
        return pd.DataFrame(lines, columns=names(HITS))


@pytest.fixture(scope="session")
def golden_tables(golden):
    inputs = golden / "inputs"
    tables = {
        name: read(inputs / f"{name}.csv") for name in ("sequences", "proteins", "annotations", "go_terms", "queries")
    }
    sequences, given, queries = tables["sequences"], tables["proteins"], tables["queries"]
    rows = {number: row for row, number in enumerate(sequences["sequence_id"])}
    sequence = given["sequence_id"].map(dict(zip(sequences["sequence_id"], sequences["sequence"], strict=True)))
    proteins = pd.DataFrame(
        {
            "protein": range(len(given)),
            "row": given["sequence_id"].map(rows),
            "accession": given["protein_id"],
            "taxon": given["taxonomy_id"].replace("", "0").astype("int64"),
            "organism": given["organism"],
            "gene": given["gene_name"],
            "length": sequence.str.len(),
            "sequence": sequence,
        }
    )
    letters = {"MF": "F", "BP": "P", "CC": "C"}
    terms = tables["go_terms"].rename(columns={"description": "name"})
    terms = terms.assign(aspect=terms["category"].map(letters), obsolete=False, replaced_by="")
    notes = tables["annotations"]
    annotations = pd.DataFrame(
        {
            "protein": notes["protein_id"].map(dict(zip(proteins["accession"], proteins["protein"], strict=True))),
            "go_id": notes["go_id"],
            "aspect": notes["go_id"].map(dict(zip(terms["go_id"], terms["aspect"], strict=True))),
            "evidence": notes["evidence_code"],
            "qualifier": "",
            "source": "",
            "date": "",
        }
    )
    queries = queries.assign(
        row=range(len(queries)),
        length=queries["sequence"].str.len(),
        distinct=pd.factorize(queries["sequence"])[0],
    )
    return GoldenTables(golden, proteins, annotations, terms, queries, rows)
