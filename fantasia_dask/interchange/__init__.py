"""Vectors in the layouts of other tools: read into a store of ours, and one of ours written as FANTASIA's.

Five layouts are recognised by what is inside: our own store, FANTASIA's HDF5, HDF5 with one dataset per protein
(UniProt's ``per-protein.h5`` and many others), HDF5 or Zarr with an array of ids and one of vectors, and npz. All are
streamed, a chunk of rows at a time, none is ever
unpickled, and links out of a file are not followed.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..schema import Space
from ..store import CHUNK_ROWS, EmbeddingStore, StoreWriter, is_store, open_store
from .arrays import arrays_table, has_arrays
from .export import export_fantasia_hdf5
from .hdf5 import TYPE_IDS, fantasia_table, is_fantasia, per_protein_table
from .npz import npz_table
from .table import Blocks, VectorTable, cast_block

__all__ = ["TYPE_IDS", "export_fantasia_hdf5", "import_vectors", "outline", "recognise", "vector_table"]


def recognise(path: str | os.PathLike[str]) -> str:
    """Tell the layout of a file or folder of vectors by what is inside.

    Returns
    -------
    {"store", "fantasia-hdf5", "per-protein-hdf5", "arrays", "npz"}

    Raises
    ------
    InputError
        If it does not exist or is none of these.
    """
    import h5py

    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: expected embeddings (.zarr, .h5 or .npz).")
    if is_store(path):
        return "store"
    if path.is_file() and h5py.is_hdf5(path):
        if is_fantasia(path):
            return "fantasia-hdf5"
        return "arrays" if has_arrays(path) else "per-protein-hdf5"
    if path.is_dir() and has_arrays(path):
        return "arrays"
    if path.is_file() and zipfile.is_zipfile(path):
        return "npz"
    raise InputError(
        f"{path} is not a file of embeddings: expected a store of fantasia-dask (.zarr, .h5), "
        "FANTASIA's HDF5, HDF5 with one dataset per protein, or npz, HDF5 or Zarr with an array of ids and an array of "
        "vectors."
    )


def _store_table(path: Path) -> VectorTable:
    """Describe a store of ours."""
    store = open_store(path)

    def blocks(space: Space, rows: int) -> Blocks:
        stored = store.stored(space.model, space.layer)
        present = store.present(space.model, space.layer)
        for start in range(0, len(store), rows):
            yield stored[start : start + rows], present[start : start + rows]

    return VectorTable(list(store.ids), list(store.sequences), list(store.spaces), blocks, store.attributes)


def _chosen(spaces: Iterable[Space], model: str | None, layer: int | None, path: Path) -> list[Space]:
    """Keep the embedding spaces asked for, of a file that names its own."""
    spaces = list(spaces)
    kept = [s for s in spaces if model in (None, s.model) and layer in (None, s.layer)]
    if not kept:
        asked = " ".join([model or "any model", "" if layer is None else f"layer {layer}"]).strip()
        held = ", ".join(map(str, spaces)) or "no vectors"
        raise InputError(f"{path} has no vectors of {asked}: it holds {held}.")
    return kept


def vector_table(path: Path, model: str | None, layer: int | None, key: str | None, profile: str) -> VectorTable:
    """Describe a file or folder of vectors, whatever its layout, before any vector is read; as `import_vectors`."""
    layout = recognise(path)
    if layout == "npz":
        return npz_table(path, model, layer, key, profile)
    if layout == "arrays":
        return arrays_table(path, model, layer, key, profile)
    if key is not None:
        raise InputError(
            f"an array name ({key!r}) is for files with arrays of vectors, and {path} has none: leave it out."
        )
    if layout == "per-protein-hdf5":
        return per_protein_table(path, model, layer, profile)
    table = _store_table(path) if layout == "store" else fantasia_table(path, profile)
    return replace(table, spaces=_chosen(table.spaces, model, layer, path))


def import_vectors(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | None = None,
    layer: int | None = None,
    profile: str = "unknown",
    key: str | None = None,
    dtype: str | None = None,
    sequences: Mapping[str, str] | None = None,
) -> EmbeddingStore:
    """Bring vectors that another tool wrote into a store of ours, a chunk of rows at a time.

    Parameters
    ----------
    path
        Any layout that `recognise` knows.
    out
        The store to write, ``.zarr`` (or ``.h5``); written aside and renamed when it is whole.
    model, layer
        Which model and layer made the vectors: needed for arrays and one dataset per protein, which do not say.
        For the other layouts, which do, the part to keep; by default all of it.
    profile : str
        Pooling convention of the vectors. A store of ours brings its own.
    key : str, optional
        The array to read, of a file that holds more than one of vectors.
    dtype : {"float16", "float32"}, optional
        How the vectors are kept; by default float16 stays and float32 and float64 become float32.
    sequences : mapping of id to sequence, optional
        Sequences to keep beside the vectors, where the file has none.

    Returns
    -------
    EmbeddingStore
        Rows in the order of the file; a protein without a vector in one of the spaces is not `present` there.

    Raises
    ------
    InputError
        If the file is damaged, does not name what it holds, names a protein twice, has vectors of another length
        or shape, values that are not finite, links, or Python objects.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.savez(folder / "two.npz", ids=["P1", "P2"], embeddings=np.eye(2, dtype="float16"))
    >>> import_vectors(folder / "two.npz", folder / "two.zarr", model="Demo", layer=0).spaces[0].dtype
    'float16'
    """
    path, out = Path(path), Path(out)
    if out.exists() and out.resolve() == path.resolve():
        raise InputError(f"{path} cannot be read and written at once: give another output.")
    table = vector_table(path, model, layer, key, profile)
    known = sequences or {}
    kept = [own or known.get(name, "") for name, own in zip(table.ids, table.sequences, strict=True)]
    stored = {space: replace(space, dtype=dtype or space.dtype) for space in table.spaces}
    attributes = {**table.attributes, "imported-from": path.name}
    with StoreWriter(
        out, ids=table.ids, sequences=kept, spaces=stored.values(), chunk_rows=CHUNK_ROWS, attributes=attributes
    ) as writer:
        for found, space in stored.items():
            start = 0
            for vectors, present in table.blocks(found, writer.chunk_rows):
                writer.write(space, start, cast_block(vectors, present, space, table.ids[start:], path), present)
                start += len(vectors)
    return open_store(out)


def outline(
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    layer: int | None = None,
    profile: str = "unknown",
    key: str | None = None,
) -> tuple[int, list[Space]]:
    """Return how many proteins a file of vectors has, and in which spaces; nothing is imported.

    Parameters
    ----------
    path, model, layer, profile, key
        As for `import_vectors`.

    Raises
    ------
    InputError
        As `import_vectors` does, but for what only its numbers show.
    """
    table = vector_table(Path(path), model, layer, key, profile)
    return len(table.ids), list(table.spaces)
