"""A store of ours, written as FANTASIA's HDF5."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..store import EmbeddingStore, remove
from .hdf5 import PREFIX, TYPE_IDS

if TYPE_CHECKING:
    import h5py

__all__ = ["export_fantasia_hdf5"]

RESERVED = re.compile(r"sequence|type_\d+|\.|\.\.|")


def _check_id(name: str) -> None:
    """Refuse an id that HDF5 would change: it splits at '/', and drops empty pieces and dots."""
    if not name or "\0" in name or any(RESERVED.fullmatch(piece) for piece in name.split("/")[1:]):
        raise InputError(
            f"protein {name!r} cannot be named in FANTASIA's HDF5, where '/' separates groups: rename it or use .zarr."
        )


def export_fantasia_hdf5(store: EmbeddingStore, path: str | os.PathLike[str]) -> Path:
    """Write the vectors of a store as FANTASIA does: ``/accession_<ID>/type_<n>/layer_<k>/embedding``.

    Parameters
    ----------
    store
        Its models must be among FANTASIA's five, which the file names by number.
    path
        HDF5 file; written aside and renamed. Vectors are float32; a protein has only the vectors it is present with.

    Raises
    ------
    InputError
        If a model has no FANTASIA number, or an id cannot be the name of an HDF5 group.
    """
    import h5py

    path = Path(path)
    for space in store.spaces:
        if space.model not in TYPE_IDS:
            raise InputError(f"{space.model} has no number in FANTASIA's HDF5: it knows {', '.join(TYPE_IDS)}.")
    for name in store.ids:
        _check_id(name)
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with h5py.File(partial, "w") as file:
            for name, sequence in zip(store.ids, store.sequences, strict=True):
                # The group is there already when another id continues this one after a '/'.
                group = file.require_group(f"{PREFIX}{name}")
                group.create_dataset("sequence", data=sequence, dtype=h5py.string_dtype())
            for space in store.spaces:
                _write_space(file, store, space.model, space.layer)
        partial.replace(path)
    finally:
        remove(partial)
    return path


def _write_space(file: h5py.File, store: EmbeddingStore, model: str, layer: int) -> None:
    stored, present = store.stored(model, layer), store.present(model, layer)
    for start in range(0, len(store), store.chunk_rows):
        block = stored[start : start + store.chunk_rows].astype(np.float32)
        for i in np.flatnonzero(present[start : start + store.chunk_rows]):
            key = f"{PREFIX}{store.ids[start + i]}/type_{TYPE_IDS[model]}/layer_{layer}"
            group = file.require_group(key)
            group.create_dataset("embedding", data=block[i])
            group.attrs["shape"] = [block.shape[1]]
