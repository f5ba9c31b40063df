"""Vectors that come in any order, brought into row order within bounded memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ...schema import Space
from ...store import CHUNK_ROWS, EmbeddingStore, StoreWriter, open_store

__all__ = ["ScatteredVectors"]


@dataclass
class _Plane:
    """One embedding space on the way: a raw file of (r, d) numbers, and which rows have arrived."""

    file: IO[bytes]
    present: np.ndarray


class ScatteredVectors:
    """Lay vectors down by row, in one raw file per embedding space, and write them out as a store.

    Nothing but a block of rows is in memory. Used as a context manager, which closes the files.

    Parameters
    ----------
    folder
        Where the files go; as large as the vectors.
    rows : int
        r, the rows of the reference.

    Examples
    --------
    >>> import tempfile
    >>> folder, space = Path(tempfile.mkdtemp()), Space("Demo", 0, 2)
    >>> with ScatteredVectors(folder, rows=2) as scattered:
    ...     scattered.place(space, np.array([1, 0]), np.array([[1, 1], [0, 0]], "float32"))
    ...     scattered.write(folder / "demo.zarr", ["P0", "P1"], ["MK", "MR"]).vectors("Demo", 0).compute().tolist()
    2
    [[0.0, 0.0], [1.0, 1.0]]
    """

    def __init__(self, folder: str | os.PathLike[str], rows: int):
        self.folder = Path(folder)
        self.rows = rows
        self._planes: dict[Space, _Plane] = {}

    @property
    def spaces(self) -> list[Space]:
        """The embedding spaces that have vectors, by model and layer."""
        return sorted(self._planes, key=lambda space: (space.model, space.layer))

    def present(self, space: Space) -> np.ndarray:
        """Tell which rows have a vector in a space: shape (r,), bool."""
        return self._planes[space].present

    def place(self, space: Space, rows: np.ndarray, vectors: np.ndarray) -> int:
        """Lay down vectors (m, d) of rows (m,); of two vectors of one row the first stays. Return how many are new."""
        plane = self._planes.get(space) or self._new_plane(space)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        new = ~plane.present[ordered]
        new[1:] &= ordered[1:] != ordered[:-1]
        order, ordered = order[new], ordered[new]
        if not len(order):
            return 0
        straight = len(order) == len(rows) and bool((order == np.arange(len(order))).all())
        block = np.ascontiguousarray(vectors if straight else vectors[order], space.dtype)
        row_bytes = block.dtype.itemsize * space.dimension
        for run in np.split(np.arange(len(ordered)), np.flatnonzero(np.diff(ordered) != 1) + 1):
            plane.file.seek(int(ordered[run[0]]) * row_bytes)
            plane.file.write(block[run[0] : run[-1] + 1].data.cast("B"))
        plane.present[ordered] = True
        return len(ordered)

    def _new_plane(self, space: Space) -> _Plane:
        file = (self.folder / f"plane{len(self._planes)}.raw").open("w+b")
        file.truncate(self.rows * space.dimension * np.dtype(space.dtype).itemsize)
        plane = self._planes[space] = _Plane(file, np.zeros(self.rows, bool))
        return plane

    def write(self, out: str | os.PathLike[str], ids: Sequence[str], sequences: Sequence[str]) -> EmbeddingStore:
        """Write a store with these ids and sequences, one per row; a raw file is removed when it has been copied."""
        with StoreWriter(out, ids=ids, sequences=sequences, spaces=self.spaces, chunk_rows=CHUNK_ROWS) as writer:
            for space in self.spaces:
                plane = self._planes[space]
                plane.file.seek(0)
                for start in range(0, self.rows, writer.chunk_rows):
                    m = min(writer.chunk_rows, self.rows - start)
                    data = plane.file.read(m * space.dimension * np.dtype(space.dtype).itemsize)
                    block = np.frombuffer(data, space.dtype).reshape(m, space.dimension)
                    writer.write(space, start, block, plane.present[start : start + m])
                plane.file.close()
                Path(plane.file.name).unlink()
        return open_store(Path(out))

    def __enter__(self) -> ScatteredVectors:
        return self

    def __exit__(self, *_: object) -> None:
        for plane in self._planes.values():
            plane.file.close()
