"""The raw rows as text: FANTASIA's CSV files, one per model, layer and query, or one compressed table."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..run_folder import aside
from ..schema import RAW_ANNOTATIONS, names
from .delimited import number_texts, rows_of, word_texts
from .files import file_names, folder_aside
from .rows import read_blocks, rounded

if TYPE_CHECKING:
    import pandas as pd

    from .rows import Rows

__all__ = ["write_raw_csv", "write_raw_table"]

SEQUENCES = ("sequence_query", "sequence_reference")
OURS = "alignment_method"
"""The one column that FANTASIA does not have."""
PLAIN = "distance_threshold"
"""FANTASIA writes the threshold as it was configured, other numbers with all decimals."""


def write_raw_csv(
    rows: Rows,
    folder: str | os.PathLike[str],
    *,
    accessions: Iterable[str],
    spaces: Sequence[tuple[str, int]],
    precision: int = 4,
    keep_sequences: bool = True,
) -> int:
    """Write raw rows as FANTASIA does: ``{model}/layer_{k}/{accession}.csv``, names in lower case.

    Parameters
    ----------
    rows
        See `rows.read_blocks`.
    folder
        Usually ``raw_results``; what was there is replaced.
    accessions : iterable of str
        All queries of the run: file names follow from them (`files.file_names`), the same in every space.
    spaces : sequence of (model, layer)
        The spaces of the run. Each has a folder; a query without any row has no file.
    precision : int
        Decimals.
    keep_sequences : bool
        Whether the columns with the two sequences are written.

    Returns
    -------
    int
        Files written.
    """
    theirs = [name for name in names(RAW_ANNOTATIONS) if name != OURS]
    header = [name for name in theirs if keep_sequences or name not in SEQUENCES]
    stems = file_names(accessions)
    models = file_names(dict.fromkeys(model for model, _ in spaces))
    written = 0
    with folder_aside(folder) as partial:
        homes = {(model, layer): partial / models[model] / f"layer_{layer}" for model, layer in spaces}
        for home in homes.values():
            home.mkdir(parents=True)
        for block in read_blocks(rows, theirs):
            for (model, layer), home in homes.items():
                here = block[(block["model_name"] == model) & (block["layer_index"] == layer)]
                for accession, lines in _queries(here, header, precision):
                    _write(home / f"{stems[accession]}.csv", header, lines)
                    written += 1
    return written


def write_raw_table(
    rows: Rows, path: str | os.PathLike[str], *, precision: int = 4, keep_sequences: bool = True
) -> None:
    """Write all raw rows, `schema.RAW_ANNOTATIONS`, as one compressed tab-separated table; equal rows give equal bytes.

    Parameters
    ----------
    rows
        See `rows.read_blocks`.
    path
        Usually ``annotations.tsv.gz``.
    precision, keep_sequences
        As for `write_raw_csv`.
    """
    from isal import igzip

    header = [name for name in names(RAW_ANNOTATIONS) if keep_sequences or name not in SEQUENCES]
    with aside(path) as partial, partial.open("wb") as binary:
        # without a name and a time in its header, which would differ from one file to the next
        packed = igzip.IGzipFile(filename="", mode="wb", fileobj=binary, mtime=0)
        with packed, io.TextIOWrapper(packed, encoding="utf-8", newline="") as file:
            file.write("\t".join(header) + "\n")
            for block in read_blocks(rows, header):
                file.writelines(rows_of((_texts(block[name], precision, "\t") for name in header), "\t"))


def _queries(rows: pd.DataFrame, header: Sequence[str], precision: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each query with its lines, as text."""
    import pandas as pd

    code, accessions = pd.factorize(rows["accession"])
    order = np.argsort(code, kind="stable")
    lines = list(rows_of((_texts(rows[name].iloc[order], precision, ",") for name in header), ","))
    ends = np.searchsorted(code[order], np.arange(len(accessions)), "right").tolist()
    for accession, start, end in zip(accessions, [0, *ends], ends, strict=False):
        yield accession, lines[start:end]


def _texts(values: pd.Series, precision: int, separator: str) -> list[str]:
    """Return one column as text."""
    if values.dtype.kind not in "iuf":
        return word_texts(values, separator)
    if values.dtype.kind != "f" or values.name == PLAIN:
        return number_texts(values)
    return number_texts(rounded(values, precision), f".{precision}f")


def _write(path: Path, header: Sequence[str], lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(header) + "\n")
        file.writelines(lines)
