"""A store of ours, written as AnnData (``.h5ad``): what scanpy and its relatives open."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..schema import Space
from ..store import EmbeddingStore, check_text, remove

if TYPE_CHECKING:
    import anndata

__all__ = ["as_anndata", "export_anndata"]


def as_anndata(store: EmbeddingStore) -> anndata.AnnData:
    """Return the vectors of a store as AnnData; nothing is read but ids and lengths.

    Returns
    -------
    AnnData
        Every space is one lazy matrix of ``obsm``, named ``<Key>_layer_<k>`` and of its own dtype; a protein without a
        vector there has NaN. ``obs`` has one row per protein, indexed by accession, with its length; ``uns["spaces"]``
        tells how each matrix was made.

    Raises
    ------
    InputError
        If the package anndata is not installed.
    """
    try:
        import anndata
    except ImportError as error:
        raise InputError(
            "AnnData is asked for, but the package anndata is not installed: pip install 'fantasia-dask[anndata]'."
        ) from error
    import pandas as pd

    return anndata.AnnData(
        obs=pd.DataFrame({"length": store.lengths}, index=pd.Index(store.ids.astype(object), name="accession")),
        obsm={_key(space): store.vectors(space.model, space.layer) for space in store.spaces},
        uns={"spaces": {_key(space): asdict(space) for space in store.spaces}},
    )


def export_anndata(store: EmbeddingStore, path: str | os.PathLike[str]) -> Path:
    """Write the vectors of a store as `as_anndata` returns them, a chunk of rows at a time; aside, then renamed.

    Raises
    ------
    InputError
        If the package anndata is not installed, or an id has a NUL, which HDF5 cannot hold.
    """
    for name in store.ids:
        check_text(name, hdf5=True)
    table, path = as_anndata(store), Path(path)
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        table.write_h5ad(partial)
        partial.replace(path)
    finally:
        remove(partial)
    return path


def _key(space: Space) -> str:
    return f"{space.model}_layer_{space.layer}"
