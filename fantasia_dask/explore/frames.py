"""The tables of a run as Dask frames: known by their columns, read when computed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..run_folder import read_parquet
from ..schema import Column, names

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

__all__ = ["parquet_frame", "read_separated", "separated_frame"]

COUNTS = dict.fromkeys(("layer", "residues", "neighbours", "terms", "term_count"), "int64")
OF_A_SPACE = re.compile(r"_L\d+$")
"""How the numbers of one model and layer are named in a summary."""


def parquet_frame(parts: Sequence[Path], columns: Iterable[Column]) -> dd.DataFrame:
    """Return a table that lies in Parquet parts, a partition each; columns that were not written are left out.

    Parameters
    ----------
    parts : sequence of Path
        In order. None are as good as one empty part.
    columns : iterable of Column
        Those of the schema.
    """
    import dask.dataframe as dd
    import pandas as pd
    import pyarrow.parquet as pq

    columns = list(columns)
    if parts:
        written = set(pq.read_schema(parts[0]).names)
        columns = [column for column in columns if column.name in written]
    meta = pd.DataFrame({column.name: pd.Series(dtype=column.dtype) for column in columns})
    if not parts:
        return dd.from_pandas(meta, npartitions=1)
    return dd.from_map(read_parquet, list(parts), columns=names(columns), meta=meta)


def separated_frame(path: Path, columns: Iterable[Column] = ()) -> dd.DataFrame:
    """Return a table that lies in a text file, as one partition; only its header is read now.

    Parameters
    ----------
    path
        ``.tsv`` or ``.csv``.
    columns : iterable of Column
        Those of the schema, where it has them.
    """
    import dask.dataframe as dd

    numbers = {c.name: c.dtype for c in columns if c.dtype in ("int64", "float64")} or COUNTS
    return dd.from_map(read_separated, [path], numbers=numbers, meta=read_separated(path, 0, numbers))


def read_separated(path: Path, lines: int | None = None, numbers: Mapping[str, str] = COUNTS) -> pd.DataFrame:
    """Read a table of a run, its accessions exactly as given and its empty numbers as NaN.

    Parameters
    ----------
    path
        ``.tsv`` or ``.csv``.
    lines : int, optional
        How many to read; by default all.
    numbers : mapping of str to str
        The dtypes of columns that hold numbers, beside those of a model and layer; all others hold words.
    """
    import pandas as pd

    separator = "\t" if path.suffix == ".tsv" else ","
    header = pd.read_csv(path, sep=separator, nrows=0).columns
    # What is not known for a number is a word, whatever it looks like: 00123 and NA are accessions.
    types = {n: numbers.get(n, "float64" if OF_A_SPACE.search(n) else "str") for n in header}
    empty = {name: [""] for name, kind in types.items() if kind == "float64"}
    return pd.read_csv(
        path, sep=separator, nrows=lines, dtype=types, keep_default_na=False, na_values=empty, lineterminator="\n"
    )
