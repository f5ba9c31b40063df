"""Vectors that come in any order, brought into row order within bounded memory, and taken up after a stop."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...schema import Space
from ...store import CHUNK_ROWS, EmbeddingStore, StoreWriter, open_store

__all__ = ["ScatteredVectors"]

STATE = "reading.npz"
SECONDS_BETWEEN_NOTES = 5.0


@dataclass
class _Plane:
    """One embedding space on the way: a raw file of (r, d) numbers, and which rows have arrived."""

    space: Space
    file: FileIO
    present: np.ndarray

    def put(self, content: memoryview, offset: int) -> None:
        """Write bytes at a place: one call of the system for each run of rows, which may be a single row."""
        while content:
            written = os.pwrite(self.file.fileno(), content, offset)
            content, offset = content[written:], offset + written


class ScatteredVectors:
    """Lay vectors down by row, in one raw file per embedding space, and write them out as a store.

    Nothing but a block of rows is in memory. Used as a context manager, which closes the files and leaves them in
    their folder: one of the same folder, for the same source, goes on from what was last noted.

    Parameters
    ----------
    folder
        Where the files go; as large as the vectors.
    rows : int
        r, the rows of the reference.

    Attributes
    ----------
    position : int
        How far the source has been read: whatever number the reader has noted, 0 at the beginning.
    facts : dict
        What the reader has noted beside it.

    Examples
    --------
    >>> import tempfile
    >>> folder, space = Path(tempfile.mkdtemp()), Space("Demo", 0, 2)
    >>> with ScatteredVectors(folder, rows=2) as scattered:
    ...     scattered.place(space, np.array([1]), np.array([[1, 1]], "float32"))
    ...     scattered.note(1, at_once=True)
    1
    >>> with ScatteredVectors(folder, rows=2) as scattered:
    ...     scattered.position
    ...     scattered.place(space, np.array([0]), np.array([[0, 0]], "float32"))
    ...     scattered.write(folder / "demo.zarr", ["P0", "P1"], ["MK", "MR"]).vectors("Demo", 0).compute().tolist()
    1
    1
    [[0.0, 0.0], [1.0, 1.0]]
    """

    def __init__(self, folder: str | os.PathLike[str], rows: int):
        self.folder = Path(folder)
        self.rows = rows
        self.position = 0
        self.facts: dict[str, Any] = {}
        self._planes: dict[Space, _Plane] = {}
        self._opened = ExitStack()
        # Its thread waits for the disk while this one reads on.
        self._background = ThreadPoolExecutor(1, "notes")
        self._noting: Future[None] | None = None
        self._noted_at = time.monotonic()
        self._take_up()

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
        content, row_bytes = block.data.cast("B"), block.dtype.itemsize * space.dimension
        cuts = [0, *(np.flatnonzero(np.diff(ordered) != 1) + 1).tolist(), len(ordered)]
        for start, stop in pairwise(cuts):
            plane.put(content[start * row_bytes : stop * row_bytes], int(ordered[start]) * row_bytes)
        plane.present[ordered] = True
        return len(ordered)

    def _new_plane(self, space: Space) -> _Plane:
        file = self._opened.enter_context(FileIO(self.folder / f"plane{len(self._planes)}.raw", "w+"))
        file.truncate(self._plane_bytes(space))
        plane = self._planes[space] = _Plane(space, file, np.zeros(self.rows, bool))
        return plane

    def _plane_bytes(self, space: Space) -> int:
        return self.rows * space.dimension * np.dtype(space.dtype).itemsize

    def write(self, out: str | os.PathLike[str], ids: Sequence[str], sequences: Sequence[str]) -> EmbeddingStore:
        """Write a store with these ids and sequences, one per row."""
        with StoreWriter(out, ids=ids, sequences=sequences, spaces=self.spaces, chunk_rows=CHUNK_ROWS) as writer:
            for space in self.spaces:
                plane = self._planes[space]
                plane.file.seek(0)
                for start in range(0, self.rows, writer.chunk_rows):
                    m = min(writer.chunk_rows, self.rows - start)
                    block = np.fromfile(plane.file, space.dtype, m * space.dimension)
                    writer.write(space, start, block.reshape(m, -1), plane.present[start : start + m])
        return open_store(Path(out))

    # What is kept for a command that is given again ------------------------------------------------------------------

    def note(self, position: int, *, at_once: bool = False, **facts: Any) -> None:
        """Remember how far the source has been read, with all that was placed until now.

        Every few seconds, or `at_once`, that is written down: first the vectors, to the disk itself, then the note.

        Parameters
        ----------
        position : int
            Greater than any before.
        at_once : bool
            Write it down, and wait until that has been done.
        **facts
            JSON values.
        """
        self.position, self.facts = position, facts
        busy = self._noting is not None and not self._noting.done()
        if not at_once and (busy or time.monotonic() - self._noted_at < SECONDS_BETWEEN_NOTES):
            return
        if self._noting is not None:
            self._noting.result()
        self._noted_at = time.monotonic()
        planes = list(self._planes.values())
        state = {"rows": self.rows, "position": position, "facts": facts, "spaces": [asdict(p.space) for p in planes]}
        present = np.array([np.packbits(plane.present) for plane in planes])
        self._noting = self._background.submit(self._write_down, [p.file for p in planes], json.dumps(state), present)
        if at_once:
            self._noting.result()

    def _write_down(self, files: list[FileIO], state: str, present: np.ndarray) -> None:
        for file in files:
            os.fsync(file.fileno())
        aside = self.folder / f"{STATE}.partial"
        with aside.open("wb") as stream:
            np.savez(stream, state=np.array(state), present=present)
            stream.flush()
            os.fsync(stream.fileno())
        aside.rename(self.folder / STATE)

    def _take_up(self) -> None:
        """Open what was noted; a note that cannot be read is as good as none."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            with np.load(self.folder / STATE, allow_pickle=False) as noted:
                state, present = json.loads(str(noted["state"])), noted["present"]
            spaces = [Space(**space) for space in state["spaces"]]
            paths = [self.folder / f"plane{i}.raw" for i in range(len(spaces))]
            whole = [path.stat().st_size == self._plane_bytes(space) for path, space in zip(paths, spaces, strict=True)]
            if state["rows"] != self.rows or not all(whole):
                return
            for path, space, bits in zip(paths, spaces, present, strict=True):
                file = self._opened.enter_context(FileIO(path, "r+"))
                self._planes[space] = _Plane(space, file, np.unpackbits(bits, count=self.rows).astype(bool))
            self.position, self.facts = int(state["position"]), state["facts"]

    def __enter__(self) -> ScatteredVectors:
        return self

    def __exit__(self, *_: object) -> None:
        self._background.shutdown()
        self._opened.close()
