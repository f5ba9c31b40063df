"""Pointers into stores: arrays on disk, and blocks of their rows, opened where they are read.

Zarr and HDF5 read their arrays themselves, but for one case: the vectors that a lookup goes through again and again lie
in chunks that are the numbers as they are and a CRC-32C, and these are read and checked here, without the copies
between.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .hdf5_probe import probe_hdf5
from .locations import is_remote

__all__ = ["DAMAGE", "HDF5_SUFFIXES", "StoredArray", "StoredBlock", "opened", "whole", "zarr_place"]

HDF5_SUFFIXES = {".h5", ".hdf5", ".hdf"}
RAW: dict[str, Any] = {
    "shape": None,
    "data_type": None,
    "chunk_grid": None,
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
    "storage_transformers": [],
}
"""What the metadata of such an array say, but for its shape."""

DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, MemoryError)
"""What Zarr, HDF5 and their codecs raise for a damaged file."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open the root of a store for reading: a zarr group or an HDF5 file. What damage raises is one sentence."""
    try:
        if path.suffix in HDF5_SUFFIXES:
            import h5py

            probe_hdf5(path)
            with h5py.File(path, "r") as file:
                yield file
        else:
            import zarr

            yield zarr.open_group(zarr_place(path), mode="r")
    except DAMAGE as error:
        if is_remote(path):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path} cannot be read as embeddings ({reason}): make it or fetch it again.") from error


def zarr_place(path: Path) -> Any:
    """Return what Zarr opens: a folder, or a URL with what is needed to reach it."""
    if not is_remote(path):
        return path
    from zarr.storage import FsspecStore

    remote: Any = path
    return FsspecStore.from_url(str(remote), storage_options=dict(remote.storage_options), read_only=True)


def whole(path: Path, key: str, n: int) -> np.ndarray:
    """Read an array of one value per protein; a deleted chunk is an error, and not the values that Zarr would put."""
    with opened(path) as root:
        array = root[key]
        if array.shape != (n,):
            raise ValueError(f"{key} has shape {array.shape}, expected {(n,)}")
        dtype = array.dtype if array.dtype.kind in "biuf" else np.dtype(object)
        if path.suffix in HDF5_SUFFIXES:
            return np.asarray(
                (array if dtype.kind in "biuf" else array.asstr())[...], dtype
            )  # else text comes as bytes
        values, rows = np.empty(n, dtype), max(1, array.chunks[0])
        for chunk, start in enumerate(range(0, n, rows)):
            file = path / key / "c" / str(chunk)
            _require(file)
            try:
                values[start : start + rows] = array[start : start + rows]
            except DAMAGE as error:
                if is_remote(path):
                    raise
                raise InputError(f"{file} cannot be read ({error}): make it or fetch it again.") from error
        return values


def _require(chunk: Path) -> None:
    if not chunk.exists():
        raise InputError(f"{chunk} is missing: the store is incomplete. Make it or fetch it again.")


@dataclass(frozen=True)
class StoredArray:
    """A pointer to one array of a store: small to pickle, opened where it is read.

    Slicing along the first axis returns a NumPy array. A damaged or missing chunk raises `InputError`.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_rows: int

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = index[0] if isinstance(index, tuple) else index
        return self._named(self._chunks(rows) if isinstance(rows, slice) else range(0), lambda: self._read(index))

    def read_into(self, out: np.ndarray, start: int) -> None:
        """Read rows from `start` on into an array of their shape and dtype, without a copy between where that can be.

        Fresh memory costs more than the reading itself: a lookup gives the same again and again.
        """
        rows = slice(start, start + len(out))
        if self._raw:
            self._named(self._chunks(rows), lambda: self._fill(out, start))
        else:
            out[:] = self[rows]

    def _named(self, chunks: range, read: Callable[[], Any]) -> Any:
        """Read, and name the chunk that is missing or damaged."""
        if self.path.suffix not in HDF5_SUFFIXES:
            for chunk in chunks:  # Zarr would hand out its fill value for a deleted one, without a word
                _require(self._chunk_file(chunk))
        try:
            return read()
        except InputError as error:
            raise self._damaged(chunks, error) from error
        except DAMAGE as error:  # from afar
            place = f"{self.path}: {self.key}"
            raise InputError(f"{place} cannot be read ({error}). It is damaged: make it or fetch it again.") from error

    def _read(self, index: Any) -> np.ndarray:
        rows, *others = index if isinstance(index, tuple) else (index,)
        if isinstance(rows, slice) and rows.step in (None, 1) and self._raw:
            start, stop, _ = rows.indices(self.shape[0])
            out = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
            self._fill(out, start)
            return out[(slice(None), *others)]
        with opened(self.path) as root:
            array = root[self.key]
            if array.shape != self.shape or array.dtype != self.dtype:
                raise ValueError(f"{array.dtype} {array.shape} where {self.dtype} {self.shape} is expected")
            return np.asarray(array[index])

    @property
    def _raw(self) -> bool:
        """Whether chunks are files of the numbers as they are, each followed by its CRC-32C."""
        if self.path.suffix in HDF5_SUFFIXES or is_remote(self.path) or sys.byteorder != "little":
            return False
        file = self.path / self.key / "zarr.json"
        try:
            described = _description(file, file.stat().st_mtime_ns)
        except (OSError, ValueError):
            return False  # Zarr will say what is wrong
        return {name: described.get(name) for name in RAW} == RAW | {
            "shape": list(self.shape),
            "data_type": self.dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [self.chunk_rows, *self.shape[1:]]},
            },
        }

    def _fill(self, out: np.ndarray, start: int) -> None:
        """Fill an array with rows from `start` on, from the files of chunks."""
        import google_crc32c

        stop = start + len(out)
        for number in self._chunks(slice(start, stop)) if len(out) else ():
            first = number * self.chunk_rows
            here = slice(max(start, first), min(stop, first + self.chunk_rows))
            whole = here.stop - here.start == self.chunk_rows
            place = out[here.start - start : here.stop - start]
            chunk = place if whole else np.empty((self.chunk_rows, *self.shape[1:]), self.dtype)
            try:
                with self._chunk_file(number).open("rb", buffering=0) as file:
                    read = file.readinto(chunk.reshape(-1).view(np.uint8).data)
                    checksum = file.read(5)
            except OSError as error:
                raise InputError(f"{self.path}: {self.key} cannot be read ({error}).") from error
            if read != chunk.nbytes or len(checksum) != 4:
                raise InputError(f"{self.path}: {self.key} has a chunk of another size.") from ValueError(
                    f"{(read or 0) + len(checksum)} bytes, or more, where {chunk.nbytes + 4} are expected"
                )
            if google_crc32c.value(chunk.reshape(-1).view(np.uint8)) != int.from_bytes(checksum, "little"):
                raise InputError(f"{self.path}: {self.key} is damaged.") from ValueError(
                    "its checksum is not that of its content"
                )
            if not whole:
                place[:] = chunk[here.start - first : here.stop - first]

    def _chunks(self, rows: slice) -> range:
        """Return the numbers of the chunks that hold some rows."""
        start, stop, _ = rows.indices(self.shape[0])
        return range(start // self.chunk_rows, -(-stop // self.chunk_rows))

    def _chunk_file(self, chunk: int) -> Path:
        return self.path.joinpath(self.key, "c", str(chunk), *["0"] * (self.ndim - 1))

    def _damaged(self, chunks: Sequence[int], error: InputError) -> InputError:
        """Name the first chunk that cannot be read."""
        place = f"{self.path}: {self.key}"
        for chunk in chunks:
            start = chunk * self.chunk_rows
            try:
                self._read(slice(start, start + self.chunk_rows))
            except InputError as first:
                error = first
                last = min(start + self.chunk_rows, self.shape[0]) - 1
                zarr = self.path.suffix not in HDF5_SUFFIXES
                place = f"{self._chunk_file(chunk)}" if zarr else f"{place}, rows {start} to {last},"
                break
        reason = error.__cause__ or error
        return InputError(f"{place} cannot be read ({reason}). The file is damaged: make it or fetch it again.")

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, in any order, shape (len(rows), ...), reading each chunk once."""
        rows = np.asarray(rows)
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        chunks = rows // self.chunk_rows
        for chunk in np.unique(chunks):
            here, start = chunks == chunk, int(chunk) * self.chunk_rows
            out[here] = self[start : start + self.chunk_rows][rows[here] - start]
        return out

    def __dask_tokenize__(self) -> object:
        if is_remote(self.path):
            remote: Any = self.path / "zarr.json"
            return ("StoredArray", str(remote), self.key, self.shape, remote.fs.checksum(remote.path))
        return ("StoredArray", str(self.path.absolute()), self.key, self.shape, self.path.stat().st_mtime_ns)


@dataclass(frozen=True)
class StoredBlock:
    """Some rows of a stored array: a pointer that stands for a block of vectors until it is sliced."""

    array: StoredArray
    rows: slice | np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, d)."""
        return (len(self), *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Of the stored numbers."""
        return self.array.dtype

    def pieces(self, least: int) -> list[int]:
        """Return where to cut the block so that no chunk on disk is read twice: from 0 to its length.

        Parameters
        ----------
        least : int
            Rows of one piece, at least, but for the first and the last.
        """
        chunk = self.array.chunk_rows
        step = max(1, -(-least // chunk)) * chunk
        first = -self.rows.start % chunk if isinstance(self.rows, slice) else 0
        return sorted({0, *range(first, len(self), step), len(self)})

    def __len__(self) -> int:
        return self.rows.stop - self.rows.start if isinstance(self.rows, slice) else len(self.rows)

    def __getitem__(self, index: slice) -> np.ndarray:
        if not isinstance(self.rows, slice):
            return self.array.take(self.rows[index])
        start, stop, _ = index.indices(len(self))
        return self.array[self.rows.start + start : self.rows.start + stop]

    def read_into(self, out: np.ndarray, start: int) -> None:
        """Read rows of the block from `start` on, as `StoredArray.read_into` does."""
        if isinstance(self.rows, slice):
            self.array.read_into(out, self.rows.start + start)
        else:
            out[:] = self.array.take(self.rows[start : start + len(out)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


@lru_cache(maxsize=64)
def _description(file: Path, modified: int) -> dict[str, Any]:
    found = json.loads(file.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}
