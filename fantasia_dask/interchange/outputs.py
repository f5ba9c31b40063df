"""From a run or a store to a file of another tool, chosen by the ending of its name."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from ..run_folder import RunFolder
from ..store import EmbeddingStore, is_store, open_store
from .anndata import export_anndata
from .export import export_fantasia_hdf5

__all__ = ["export_vectors", "find_store"]

WRITERS = {".h5": export_fantasia_hdf5, ".hdf5": export_fantasia_hdf5, ".h5ad": export_anndata}


def find_store(path: str | os.PathLike[str]) -> EmbeddingStore:
    """Open a store, or the one in the folder of a run.

    Raises
    ------
    InputError
        If there is none.
    """
    path = Path(path)
    if not path.is_dir() or is_store(path):
        return open_store(path)
    for file_format in ("zarr", "hdf5"):
        if (inside := RunFolder(path).embeddings(file_format)).exists():
            return open_store(inside)
    raise InputError(
        f"{path} holds no embeddings: expected a store, or the folder of a run that embedded proteins. "
        "A run with only_lookup leaves the vectors where its input is."
    )


def export_vectors(source: str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the vectors of a run for another tool: FANTASIA's HDF5 (``.h5``) or AnnData (``.h5ad``).

    Parameters
    ----------
    source
        A store of ours, or the folder of a run.
    out
        The file to write; its ending says which.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    InputError
        If the ending is another, the file is there, or the vectors cannot be said in that format.
    """
    out = Path(out)
    writer = WRITERS.get(out.suffix.lower())
    if writer is None:
        raise InputError(f"{out} ends in {out.suffix!r}: expected .h5 (FANTASIA's HDF5) or .h5ad (AnnData).")
    store = find_store(source)
    if out.exists() and out.resolve() == store.path.resolve():
        raise InputError(f"{out} cannot be read and written at once: give another output.")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists: give another name, or --overwrite to replace it.")
    return writer(store, out)
