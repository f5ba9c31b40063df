"""HDF5 as other tools write it: FANTASIA's tree of groups, and UniProt's one dataset per protein.

An id that contains ``/`` becomes nested groups in HDF5; the walk puts it together again. Links are not followed,
and data kept outside the file are not read: a file must not be able to name another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..hdf5_probe import probe_hdf5
from ..schema import Space
from ..stored import DAMAGE
from .table import Blocks, VectorTable, check_dimension, check_ids, check_model, stored_dtype

if TYPE_CHECKING:
    import h5py

__all__ = ["TYPE_IDS", "fantasia_table", "is_fantasia", "open_hdf5", "per_protein_table"]

TYPE_IDS = {"ESM": 1, "Prost-T5": 2, "Prot-T5": 3, "Ankh3-Large": 4, "ESM3c": 5}
"""FANTASIA's numbers of the models, as its group names ``type_<n>`` carry them."""

PREFIX = "accession_"
TYPE = re.compile(r"type_(\d{1,9})")
LAYER = re.compile(r"layer_(\d{1,9})")
MAX_DEPTH = 64


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; a damaged one is an `InputError`."""
    import h5py

    try:
        probe_hdf5(path)
        with h5py.File(path, "r") as file:
            yield file
    except DAMAGE as error:
        raise InputError(f"{path} cannot be read as HDF5 ({error}): make it or fetch it again.") from error


def is_fantasia(path: Path) -> bool:
    """Tell whether an HDF5 file is laid out as FANTASIA's: groups ``accession_<ID>`` at its root."""
    import h5py

    with open_hdf5(path) as file:
        return any(
            isinstance(name, str) and name.startswith(PREFIX) and file.get(name, getclass=True) is h5py.Group
            for name in file
        )


def _members(group: h5py.Group, path: Path) -> Iterator[tuple[str, Any]]:
    """Walk the members of one group, refusing links."""
    import h5py

    links = group.id.links
    for name in group:
        if not isinstance(name, str):
            raise InputError(f"{path}: {group.name} holds the name {name!r}: expected names in UTF-8.")
        # The low-level call: a file has several links per protein, and `group.get(name, getlink=True)` costs twice.
        if links.get_info(name.encode("utf-8", "surrogateescape")).type != h5py.h5l.TYPE_HARD:
            raise InputError(
                f"{path}: {group.name.rstrip('/')}/{name} is a link: links are not followed. "
                "Store the vector itself, for instance with h5repack."
            )
        yield name, group[name]


def _is_group(item: object) -> bool:
    import h5py

    return isinstance(item, h5py.Group)


def _is_dataset(item: object) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset)


def _check_depth(depth: int, group: h5py.Group, path: Path) -> None:
    # A group may hold a hard link to its own parent, so that a walk without a limit would never end.
    if depth > MAX_DEPTH:
        raise InputError(f"{path}: {group.name[:60]}... is nested more than {MAX_DEPTH} deep: not a file of vectors.")


def _check_vector(dataset: h5py.Dataset, accession: str, path: Path) -> tuple[int, np.dtype]:
    """Return d and the dtype to keep for the vector of one protein."""
    what = f"{path}: protein {accession!r}"
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{what} keeps its vector in another file: expected it inside this one.")
    return check_dimension(dataset.shape or (), what), stored_dtype(dataset.dtype, what)


@dataclass
class _Layout:
    """One embedding space as the walk finds it: its dimension, its dtype, and which proteins have a vector."""

    dimension: int
    dtype: np.dtype
    rows: list[int] = field(default_factory=list)

    def add(self, row: int, dimension: int, dtype: np.dtype, accession: str, path: Path) -> None:
        if dimension != self.dimension:
            raise InputError(
                f"{path}: protein {accession!r} has a vector of {dimension} numbers where the first protein has "
                f"{self.dimension}: vectors of one model have one length."
            )
        self.dtype = np.promote_types(self.dtype, dtype)
        self.rows.append(row)


def _read_blocks(path: Path, keys: dict[int, str], n: int, d: int, dtype: np.dtype, rows: int) -> Blocks:
    """Stream one dataset per protein; `keys` tells where the vector of a row is, if it has one."""
    with open_hdf5(path) as file:
        for start in range(0, n, rows):
            stop = min(start + rows, n)
            present = np.fromiter((row in keys for row in range(start, stop)), bool, stop - start)
            vectors = np.full((stop - start, d), np.nan, dtype)
            for i in np.flatnonzero(present):
                # A float64 too large for float32 becomes infinite here, and is refused by name before it is written.
                with np.errstate(over="ignore"):
                    vectors[i] = file[keys[start + int(i)]][...].reshape(-1)
            yield vectors, present


# UniProt's per-protein.h5 -----------------------------------------------------------------------------------------


def _datasets(group: h5py.Group, path: Path, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, h5py.Dataset]]:
    _check_depth(depth, group, path)
    for name, item in _members(group, path):
        if _is_group(item):
            yield from _datasets(item, path, f"{prefix}{name}/", depth + 1)
        elif _is_dataset(item):
            yield prefix + name, item


def per_protein_table(path: Path, model: str | None, layer: int | None, profile: str) -> VectorTable:
    """Describe a file with one dataset per protein, (d,) or (1, d), named by its accession."""
    model, layer = check_model(model, layer, path)
    ids: list[str] = []
    layout: _Layout | None = None
    with open_hdf5(path) as file:
        for accession, dataset in _datasets(file, path):
            d, dtype = _check_vector(dataset, accession, path)
            layout = layout or _Layout(d, dtype)
            layout.add(len(ids), d, dtype, accession, path)
            ids.append(accession)
    check_ids(ids, path)
    assert layout is not None
    space = Space(model, layer, layout.dimension, profile, dtype=layout.dtype.name)

    def blocks(space: Space, rows: int) -> Blocks:
        return _read_blocks(path, dict(enumerate(ids)), len(ids), space.dimension, np.dtype(space.dtype), rows)

    return VectorTable(ids, [""] * len(ids), [space], blocks)


# FANTASIA ---------------------------------------------------------------------------------------------------------


@dataclass
class _FantasiaProtein:
    accession: str
    sequence: str
    vectors: dict[tuple[int, int], h5py.Dataset]


def _layers(group: h5py.Group, path: Path) -> Iterator[tuple[int, h5py.Dataset]]:
    for name, item in _members(group, path):
        match = LAYER.fullmatch(name)
        if match and _is_group(item):
            members = dict(_members(item, path))
            if _is_dataset(members.get("embedding")):
                yield int(match.group(1)), members["embedding"]


def _is_type(name: str, item: Any) -> bool:
    """Tell a group of layers from a piece of an id that happens to look like one."""
    return bool(TYPE.fullmatch(name)) and _is_group(item) and all(LAYER.fullmatch(member) for member in item)


def _text(dataset: h5py.Dataset, accession: str, path: Path) -> str:
    import h5py

    if dataset.shape != () or h5py.check_string_dtype(dataset.dtype) is None or dataset.external or dataset.is_virtual:
        raise InputError(f"{path}: the sequence of protein {accession!r} is not one string: expected its residues.")
    return str(dataset.asstr()[()])


def _fantasia_proteins(group: h5py.Group, accession: str, path: Path, depth: int = 0) -> Iterator[_FantasiaProtein]:
    """Yield the protein of a group, and then those whose ids continue below it after a ``/``."""
    _check_depth(depth, group, path)
    protein = _FantasiaProtein(accession, "", {})
    nested = []
    for name, item in _members(group, path):
        if _is_type(name, item):
            number = int(name.removeprefix("type_"))
            protein.vectors |= {(number, layer): dataset for layer, dataset in _layers(item, path)}
        elif _is_group(item):
            nested.append((f"{accession}/{name}", item))
        elif name == "sequence" and _is_dataset(item):
            protein.sequence = _text(item, accession, path)
    # A group that is only a step on the way to longer ids is no protein; an empty one is a protein without vectors.
    if protein.sequence or protein.vectors or not nested:
        yield protein
    for longer, item in nested:
        yield from _fantasia_proteins(item, longer, path, depth + 1)


def _model_of(number: int, path: Path) -> str:
    for model, known in TYPE_IDS.items():
        if known == number:
            return model
    known_types = ", ".join(f"{number} {model}" for model, number in TYPE_IDS.items())
    raise InputError(f"{path} has vectors of embedding type {number}: the types known are {known_types}.")


def fantasia_table(path: Path, profile: str) -> VectorTable:
    """Describe FANTASIA's HDF5: ``/accession_<ID>/type_<n>/layer_<k>/embedding`` and ``sequence``."""
    ids: list[str] = []
    sequences: list[str] = []
    layouts: dict[tuple[int, int], _Layout] = {}
    with open_hdf5(path) as file:
        for name, item in _members(file, path):
            if not (name.startswith(PREFIX) and _is_group(item)):
                continue
            for protein in _fantasia_proteins(item, name.removeprefix(PREFIX), path):
                for kind, dataset in protein.vectors.items():
                    d, dtype = _check_vector(dataset, protein.accession, path)
                    layout = layouts.setdefault(kind, _Layout(d, dtype))
                    layout.add(len(ids), d, dtype, protein.accession, path)
                ids.append(protein.accession)
                sequences.append(protein.sequence)
    check_ids(ids, path)
    kinds = {(_model_of(number, path), layer): (number, layer) for number, layer in sorted(layouts)}
    spaces = [
        Space(model, layer, layouts[kind].dimension, profile, dtype=layouts[kind].dtype.name)
        for (model, layer), kind in kinds.items()
    ]

    def blocks(space: Space, rows: int) -> Blocks:
        number, layer = kinds[space.model, space.layer]
        keys = {row: f"{PREFIX}{ids[row]}/type_{number}/layer_{layer}/embedding" for row in layouts[number, layer].rows}
        return _read_blocks(path, keys, len(ids), space.dimension, np.dtype(space.dtype), rows)

    return VectorTable(ids, sequences, spaces, blocks)
