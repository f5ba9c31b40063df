from __future__ import annotations

import pandas as pd
import pytest

from fantasia_dask.report.sequences import write_sequences
from fantasia_dask.sequences import read_fasta


def test_write_sequences(tmp_path):
    queries = pd.DataFrame(
        {
            "row": [0, 1, 2, 3],
            "accession": ["a,b", "x", "NA", "y"],
            "length": [3, 7, 3, 2],
            "sequence": ["MKT", "", "MKT", "MR"],
            "distinct": [0, 1, 0, 2],
        }
    )
    proteins = pd.DataFrame({"row": [0, 1, 1, 2, 3], "sequence": ["AA", "CC", "CC", "DD", ""]})
    write_sequences(tmp_path, queries=[queries.iloc[:2], queries.iloc[2:]], proteins=proteins, donors=[3, 1, 1, 0])
    records = [(protein.accession, protein.sequence) for protein in read_fasta(tmp_path / "sequences.fasta")]
    assert records == [("Q0", "MKT"), ("Q2", "MR"), ("R0", "AA"), ("R1", "CC")]
    index = pd.read_csv(tmp_path / "query_index_mapping.csv", dtype=str, keep_default_na=False)
    assert index.to_numpy().tolist() == [["0", "Q0", "a,b;NA", "3"], ["1", "Q1", "x", "7"], ["2", "Q2", "y", "2"]]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.shared
def test_write_sequences__golden_index(golden, tmp_path):
    queries = pd.read_csv(golden / "inputs" / "queries.csv", dtype=str, keep_default_na=False)
    queries["length"] = queries["sequence"].str.len()
    queries["distinct"] = pd.factorize(queries["sequence"])[0]
    proteins = pd.DataFrame({"row": [], "sequence": []})
    write_sequences(tmp_path, queries=[queries.iloc[:2], queries.iloc[2:]], proteins=proteins, donors=[])
    theirs = golden / "outputs" / "cosine_k5" / "query_index_mapping.csv"
    assert (tmp_path / "query_index_mapping.csv").read_text() == theirs.read_text()  # but for FANTASIA's CRLF
