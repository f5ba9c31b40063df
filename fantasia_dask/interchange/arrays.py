"""One array of ids beside one of vectors: which is which, in npz, HDF5 and Zarr alike; the latter two are read here.

::

    ids  embeddings                                          one pair
    <prefix>_ids  <prefix>_embeddings  <prefix>_ids  ...     several: the one to read has to be named
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import InputError, did_you_mean
from ..schema import Space
from .hdf5 import open_hdf5
from .table import MAX_DIMENSION, Blocks, VectorTable, check_ids, check_model, stored_dtype

__all__ = ["arrays_table", "check_matrix", "has_arrays", "id_texts", "ids_name", "vectors_name"]

METADATA = ("zarr.json", ".zarray")
ID_NAMES = ("ids", "id", "accession", "accessions", "sequence_id")


class Described(Protocol):
    """An array, or its header alone."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""

    @property
    def dtype(self) -> np.dtype:
        """What it holds."""


def vectors_name(arrays: Mapping[str, Described], key: str | None, path: Path) -> str:
    """Choose the array of vectors: the one named, else the only 2-D array of floats."""
    matrices = [name for name, a in arrays.items() if len(a.shape) == 2 and a.dtype.kind == "f"]
    if key is not None:
        if key not in arrays:
            raise InputError(
                f"{path} has no array {key!r}: it holds {', '.join(arrays) or 'none'}." + did_you_mean(key, arrays)
            )
        return key
    if not matrices:
        held = ", ".join(f"{name!r} is {a.dtype} of shape {a.shape}" for name, a in list(arrays.items())[:5])
        raise InputError(f"{path} has no array of vectors ({held or 'it is empty'}): expected floats, one row each.")
    if len(matrices) != 1:
        raise InputError(
            f"{path} holds {len(matrices)} arrays of vectors ({', '.join(matrices)}): name the one to read, for "
            f"instance --vectors-key {matrices[0]} (of a run, --set vectors_key={matrices[0]})."
        )
    return matrices[0]


def ids_name(arrays: Mapping[str, Described], vectors: str, path: Path) -> str:
    """Find the array of ids that belongs to an array of vectors."""
    own = vectors.removesuffix("_embeddings") + "_ids"
    for name in (own, *ID_NAMES):
        if name in arrays:
            return name
    raise InputError(f"{path} has no array of ids: expected 'ids' or {own!r} beside {vectors!r}.")


def id_texts(ids: np.ndarray, name: str, path: Path) -> list[str]:
    """Return an array of ids as texts."""
    if ids.ndim != 1 or ids.dtype.kind not in "USiuOT":
        raise InputError(f"{path}: {name!r} is {ids.dtype} of shape {ids.shape}: expected one id per protein.")
    return [value.decode() if isinstance(value, bytes) else str(value) for value in ids.tolist()]


def check_matrix(shape: tuple[int, ...], ids: list[str], name: str, path: Path) -> None:
    """Refuse an array that has not one vector for each id."""
    if len(shape) != 2 or not 1 <= shape[1] <= MAX_DIMENSION:
        raise InputError(f"{path}: array {name!r} has shape {shape}: expected one row per protein, (n, d).")
    if shape[0] != len(ids):
        raise InputError(f"{path}: array {name!r} has {shape[0]} rows for {len(ids)} ids: expected as many.")


# HDF5 and Zarr ------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[dict[str, Any]]:
    """Open the arrays at the root of a file or folder, by name."""
    if path.is_file():
        import h5py

        with open_hdf5(path) as file:
            # A soft or external link has no class of its own to be asked for before it is followed.
            hard = [n for n in file if isinstance(file.get(n, getlink=True), h5py.HardLink)]
            yield {name: file[name] for name in hard if file.get(name, getclass=True) is h5py.Dataset}
        return
    import zarr

    try:
        yield dict(zarr.open_group(path, mode="r").arrays())
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as Zarr ({error}): make it or fetch it again.") from error


def has_arrays(path: Path) -> bool:
    """Tell whether HDF5 or Zarr holds an array of ids and one of vectors at its root, and not one per protein."""
    if path.is_dir() and not any((path / name).is_file() for name in ("zarr.json", ".zgroup")):
        return False
    with _opened(path) as arrays:
        ids = [n for n, a in arrays.items() if len(a.shape) == 1 and (n in ID_NAMES or n.endswith("_ids"))]
        return bool(ids) and any(len(array.shape) == 2 for array in arrays.values())


def _check_safe(array: Any, name: str, path: Path) -> None:
    """Refuse what runs code when it is read, or lies elsewhere."""
    if path.is_file():
        if array.external or array.is_virtual:
            raise InputError(f"{path}: array {name!r} is kept in another file: expected it inside this one.")
    elif any(b'"pickle"' in file.read_bytes() for file in (path / name).glob("*") if file.name in METADATA):
        raise InputError(f"{path}: array {name!r} holds Python objects, which can run code when they are read.")
    elif array.nchunks_initialized < array.nchunks:
        raise InputError(f"{path}: array {name!r} lacks chunks: make it or fetch it again.")


def _check_links(path: Path) -> None:
    for file in path.rglob("*") if path.is_dir() else ():
        if file.is_symlink():
            raise InputError(f"{file} is a link: links are not followed. Store the file itself.")


def arrays_table(path: Path, model: str | None, layer: int | None, key: str | None, profile: str) -> VectorTable:
    """Describe HDF5 or Zarr that holds ``ids`` beside one 2-D array, or ``<prefix>_ids`` beside each."""
    model, layer = check_model(model, layer, path)
    _check_links(path)
    with _opened(path) as arrays:
        name = vectors_name(arrays, key, path)
        of_ids = ids_name(arrays, name, path)
        for chosen in (name, of_ids):
            _check_safe(arrays[chosen], chosen, path)
        ids = id_texts(np.asarray(arrays[of_ids][...]), of_ids, path)
        check_ids(ids, path)
        shape = tuple(arrays[name].shape)
        check_matrix(shape, ids, name, path)
        dtype = stored_dtype(arrays[name].dtype, f"{path}: array {name!r}")

    def blocks(_: Space, rows: int) -> Blocks:
        with _opened(path) as arrays:
            for start in range(0, len(ids), rows):
                block = np.asarray(arrays[name][start : start + rows])
                yield block, np.ones(len(block), bool)

    space = Space(model, layer, shape[1], profile, dtype=dtype.name)
    return VectorTable(ids, [""] * len(ids), [space], blocks, {"array": name})
