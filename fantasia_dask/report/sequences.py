"""The sequences of a run and the index that ties them to accessions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..run_folder import text_aside
from .delimited import joined, write_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_sequences"]

INDEX_COLUMNS = ("query_idx", "query_fasta_id", "accessions", "sequence_length")


def write_sequences(
    folder: str | os.PathLike[str], *, queries: Iterable[pd.DataFrame], proteins: pd.DataFrame, donors: Iterable[int]
) -> None:
    """Write ``sequences.fasta`` and ``query_index_mapping.csv``.

    The FASTA holds every distinct query as ``>Q<query_idx>``, then every donor as ``>R<ref_idx>``, those without a
    known sequence left out; the CSV says which accessions share a query sequence, joined by ``;`` (`delimited.joined`).

    Parameters
    ----------
    folder
        Where the two files go.
    queries : iterable of DataFrame, `schema.QUERIES`
        All queries of the run, in order; a few at a time, so that their sequences are never all in memory.
    proteins : DataFrame, `schema.PROTEINS`
        Of the reference.
    donors : iterable of int
        Rows of the donors to write, in any order: the distinct `ref_idx` of the raw rows.
    """
    import pandas as pd

    folder = Path(folder)
    index = []
    written = 0
    with text_aside(folder / "sequences.fasta") as file:
        for block in queries:
            # Distinct sequences are numbered as they appear.
            new = block[block["distinct"] >= written].drop_duplicates("distinct")
            file.writelines(_records("Q", new["distinct"], new["sequence"]))
            written += len(new)
            index.append(block[["distinct", "accession", "length"]])
        lending = proteins[proteins["row"].isin(sorted(set(donors)))].drop_duplicates("row").sort_values("row")
        file.writelines(_records("R", lending["row"], lending["sequence"]))
    shared = pd.concat(index).groupby("distinct").agg({"accession": _list, "length": "first"})
    number = shared.index.to_numpy()
    columns = (number, [f"Q{i}" for i in number.tolist()], shared["accession"].array, shared["length"].array)
    with text_aside(folder / "query_index_mapping.csv") as file:
        write_frame(pd.DataFrame(dict(zip(INDEX_COLUMNS, columns, strict=True))), file, ",")


def _list(accessions: pd.Series) -> str:
    return joined(accessions, ";")


def _records(letter: str, numbers: Iterable[int], sequences: Iterable[str]) -> Iterable[str]:
    for number, sequence in zip(numbers, sequences, strict=True):
        if sequence:
            yield f">{letter}{number}\n{sequence}\n"
