"""NumPy's npz: an array of ids and an array of vectors, streamed row by row out of the zip file.

Nothing is unpickled: a member that holds Python objects is refused by its header, before its data are touched.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import InputError
from ..schema import Space
from ..stored import DAMAGE
from .arrays import check_matrix, id_texts, ids_name, vectors_name
from .table import Blocks, VectorTable, check_ids, check_model, stored_dtype

__all__ = ["npz_table"]


@dataclass(frozen=True)
class _Header:
    """What the first bytes of one array say."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    data_bytes: int


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever a damaged zip file or array raises into one sentence."""
    try:
        yield
    except (*DAMAGE, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as npz ({error}): make it or fetch it again.") from error


def _read_header(member: IO[bytes], name: str, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of one array, leaving the file at its first number."""
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
    elif version == (2, 0):
        shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(member)
    else:
        raise ValueError(f"array {name!r} has format version {version}")
    if dtype.hasobject:
        raise InputError(
            f"{path}: array {name!r} holds Python objects, which can run code when they are read. "
            "Save it again as plain numbers or strings, for instance np.asarray(ids, dtype=str)."
        )
    return shape, fortran_order, dtype


def _headers(path: Path) -> dict[str, _Header]:
    headers = {}
    with _readable(path), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                name = info.filename.removesuffix(".npy")
                with archive.open(info) as member:
                    shape, fortran_order, dtype = _read_header(member, name, path)
                    headers[name] = _Header(shape, fortran_order, dtype, info.file_size - member.tell())
    return headers


def _read_ids(path: Path, name: str) -> list[str]:
    with _readable(path), np.load(path, allow_pickle=False) as arrays:
        return id_texts(arrays[name], name, path)


def _check(header: _Header, ids: list[str], name: str, path: Path) -> None:
    check_matrix(header.shape, ids, name, path)
    if header.data_bytes != header.shape[0] * header.shape[1] * header.dtype.itemsize:
        raise InputError(f"{path}: array {name!r} is shorter than its header says: make the file or fetch it again.")


def _matrix_blocks(path: Path, name: str, header: _Header, rows: int) -> Blocks:
    """Stream a matrix; one in column order cannot be, and is read as a whole."""
    n, d = header.shape
    with _readable(path):
        if header.fortran_order:
            with np.load(path, allow_pickle=False) as arrays:
                matrix = arrays[name]
            for start in range(0, n, rows):
                block = matrix[start : start + rows]
                yield block, np.ones(len(block), bool)
            return
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
            _read_header(member, name, path)
            for start in range(0, n, rows):
                m = min(rows, n - start)
                data = member.read(m * d * header.dtype.itemsize)
                yield np.frombuffer(data, header.dtype).reshape(m, d), np.ones(m, bool)


def npz_table(path: Path, model: str | None, layer: int | None, key: str | None, profile: str) -> VectorTable:
    """Describe an npz file: ``ids`` beside one 2-D array, or ``<prefix>_ids`` beside ``<prefix>_embeddings``."""
    headers = _headers(path)
    name = vectors_name(headers, key, path)
    model, layer = check_model(model, layer, path)
    header = headers[name]
    dtype = stored_dtype(header.dtype, f"{path}: array {name!r}")
    ids = _read_ids(path, ids_name(headers, name, path))
    check_ids(ids, path)
    _check(header, ids, name, path)

    def blocks(_: Space, rows: int) -> Blocks:
        return _matrix_blocks(path, name, header, rows)

    space = Space(model, layer, header.shape[1], profile, dtype=dtype.name)
    attributes: dict[str, Any] = {"array": name}
    return VectorTable(ids, [""] * len(ids), [space], blocks, attributes)
