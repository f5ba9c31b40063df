"""Raw annotation rows, a block of queries at a time, so that memory does not grow with the run."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    Rows = pd.DataFrame | str | os.PathLike[str] | Iterable[pd.DataFrame]

__all__ = ["read_blocks", "rounded"]


def read_blocks(rows: Rows, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Yield annotation rows block by block; a block holds the rows of its queries in all embedding spaces.

    Parameters
    ----------
    rows
        One frame with the columns `schema.RAW_ANNOTATIONS`, several of them (each with all rows of its queries), or
        the folder ``annotations`` of a run, whose files ``model=<M>/layer=<L>/part-<n>.parquet`` cover the same
        queries where n is the same.
    columns : sequence of str, optional
        Those wanted; by default all.
    """
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        yield rows if columns is None else rows[list(columns)]
    elif isinstance(rows, str | os.PathLike):
        yield from _read_parts(Path(rows), columns)
    else:
        for block in rows:
            yield block if columns is None else block[list(columns)]


def _read_parts(folder: Path, columns: Sequence[str] | None) -> Iterator[pd.DataFrame]:
    import pandas as pd
    import pyarrow.parquet as pq

    parts: dict[str, list[Path]] = defaultdict(list)
    for path in folder.glob("model=*/layer=*/part-*.parquet"):
        parts[path.name].append(path)
    wanted = None if columns is None else list(columns)
    for name in sorted(parts):
        paths = sorted(parts[name], key=_model_and_layer)
        # One file at a time: a reader of the whole folder would add its model= and layer= as columns.
        frames = [pq.ParquetFile(path).read(columns=wanted).to_pandas() for path in paths]
        yield pd.concat(frames, ignore_index=True)


def _model_and_layer(path: Path) -> tuple[str, int]:
    return path.parent.parent.name, int(path.parent.name.partition("=")[2])


def rounded(values: np.ndarray | pd.Series, precision: int) -> np.ndarray:
    """Round to decimals as printing does: to the nearest decimal of the exact binary value.

    `numpy.round` multiplies first and so takes 0.26875, which is a little less than it seems, to 0.2688.

    Examples
    --------
    >>> rounded(np.array([0.26875, 0.03125, np.nan]), 4)
    array([0.2687, 0.0312,    nan])
    """
    distinct, place = np.unique(np.asarray(values, dtype="float64"), return_inverse=True)
    return np.array([round(value, precision) for value in distinct.tolist()], dtype="float64")[place]
