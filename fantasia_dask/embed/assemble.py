"""Parts to store: the vectors of all proteins, in their order, a chunk at a time; and who has none, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import InputError
from ..schema import STATUS, Space, names
from ..store import CHUNK_ROWS, EmbeddingStore, StoreWriter, open_store, sequence_digest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Inputs", "Layer", "StoredRows", "open_previous", "status_table", "stored_before", "write_store"]


class Vectors(Protocol):
    """Something that holds vectors by row: a part, or the store of an earlier run."""

    def rows(self, layer: int, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of some rows, shape (len(rows), d)."""
        ...


@dataclass(frozen=True)
class Inputs:
    """The proteins of a run.

    Attributes
    ----------
    ids, sequences : sequence of str, length n
        As given.
    texts : list of str, length n
        What the models see: the sequences, cut to `max_residues`.
    digests : list of str, length n
        SHA-256 of each text.
    max_residues : int
        0 = no truncation.
    """

    ids: Sequence[str]
    sequences: Sequence[str]
    max_residues: int
    texts: list[str] = field(init=False)
    digests: list[str] = field(init=False)

    def __post_init__(self) -> None:
        texts = [sequence[: self.max_residues or None] for sequence in self.sequences]
        object.__setattr__(self, "texts", texts)
        object.__setattr__(self, "digests", [sequence_digest(text) for text in texts])


@dataclass
class Layer:
    """One embedding space on its way to the store: where each sequence's vector lies, or why there is none."""

    space: Space
    found: dict[str, tuple[Vectors, int]]
    failures: dict[str, str]


@dataclass(frozen=True)
class StoredRows:
    """Vectors of one model in a store that an earlier run left."""

    store: EmbeddingStore
    model: str

    def rows(self, layer: int, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of some rows, float32."""
        return self.store.stored(self.model, layer).take(rows).astype(np.float32, copy=False)


def open_previous(out: Path) -> EmbeddingStore | None:
    """Open the store that an earlier run left, if there is a whole one."""
    try:
        return open_store(out) if out.exists() else None
    except InputError:
        return None  # not a store, or damaged: it will be replaced


def _same_space(one: Space, other: Space) -> bool:
    """Compare what was computed; a checkpoint that moved to another folder is the same by its revision."""
    a, b = ((s.model, s.layer, s.dimension, s.profile, s.revision, s.dtype) for s in (one, other))
    return a == b


def stored_before(
    store: EmbeddingStore | None, space: Space, wanted: Collection[str]
) -> dict[str, tuple[Vectors, int]]:
    """Return where an earlier run's store holds wanted vectors of this very space, by digest of what the model saw."""
    if store is None or not any(_same_space(space, other) for other in store.spaces):
        return {}
    limit = int(store.attributes.get("max-residues", 0)) or None
    source = StoredRows(store, space.model)
    try:
        rows = np.flatnonzero(store.present(space.model, space.layer))
        for start in range(0, len(rows), store.chunk_rows):  # a damaged chunk is found now, not when it is too late
            source.rows(space.layer, rows[start : start + store.chunk_rows])
        found = {sequence_digest(store.sequences[row][:limit]): (source, int(row)) for row in rows}
        return {digest: place for digest, place in found.items() if digest in wanted}
    except (InputError, OSError, ValueError, RuntimeError):
        return {}


def is_complete(store: EmbeddingStore | None, inputs: Inputs, layers: Sequence[Layer]) -> bool:
    """Tell whether an earlier run's store already is what would be written now."""
    if store is None or len(store.spaces) != len(layers) or store.attributes.get("max-residues") != inputs.max_residues:
        return False
    if list(store.ids) != list(inputs.ids) or list(store.sequences) != list(inputs.sequences):
        return False
    return all(
        any(_same_space(layer.space, other) for other in store.spaces)
        and all(digest in layer.failures or isinstance(layer.found[digest][0], StoredRows) for digest in inputs.digests)
        for layer in layers
    )


def write_store(out: Path, inputs: Inputs, layers: Sequence[Layer]) -> None:
    """Write all vectors as one store; at most one chunk of one space is in memory.

    A vector that does not fit the stored dtype is noted among the layer's failures.
    """
    attributes = {"max-residues": inputs.max_residues}
    with StoreWriter(
        out,
        ids=inputs.ids,
        sequences=inputs.sequences,
        spaces=[layer.space for layer in layers],
        chunk_rows=CHUNK_ROWS,
        attributes=attributes,
    ) as writer:
        for start in range(0, len(inputs.ids), CHUNK_ROWS):
            digests = inputs.digests[start : start + CHUNK_ROWS]
            for layer in layers:
                vectors, present = _gather(layer, digests)
                writer.write(layer.space, start, vectors, present)


def _gather(layer: Layer, digests: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Collect the vectors of one chunk, reading every file once."""
    vectors = np.full((len(digests), layer.space.dimension), np.nan, layer.space.dtype)
    by_source: dict[Vectors, list[tuple[int, int]]] = {}
    for place, digest in enumerate(digests):
        if digest in layer.found:
            source, row = layer.found[digest]
            by_source.setdefault(source, []).append((place, row))
    for source, pairs in by_source.items():
        places, rows = np.array(pairs).T
        with np.errstate(over="ignore"):
            vectors[places] = source.rows(layer.space.layer, rows)
    present = np.isfinite(vectors).all(axis=1)
    for lost in np.flatnonzero(~present).tolist():
        layer.failures.setdefault(digests[lost], f"the vector does not fit {layer.space.dtype}; set dtype float32")
    return vectors, present


def status_table(inputs: Inputs, layers: Sequence[Layer]) -> pd.DataFrame:
    """Account for every protein, model and layer: columns as in `schema.STATUS`."""
    import pandas as pd

    tables = [_status_of(inputs, layer) for layer in layers]
    types = {column.name: column.dtype for column in STATUS}
    if not tables:
        return pd.DataFrame({name: pd.Series(dtype=types[name]) for name in names(STATUS)})
    return pd.concat(tables, ignore_index=True)[names(STATUS)].astype(types)


def _status_of(inputs: Inputs, layer: Layer) -> pd.DataFrame:
    import pandas as pd

    status, residues, reasons = [], [], []
    for sequence, text, digest in zip(inputs.sequences, inputs.texts, inputs.digests, strict=True):
        word, reason = _fate(sequence, text, layer.failures.get(digest))
        status.append(word)
        residues.append(0 if word == "failed" else len(text))
        reasons.append(reason)
    return pd.DataFrame(
        {
            "accession": list(inputs.ids),
            "model": layer.space.model,
            "layer": layer.space.layer,
            "status": status,
            "residues": residues,
            "reason": reasons,
        }
    )


def _fate(sequence: str, text: str, failure: str | None) -> tuple[str, str]:
    if failure is not None:
        return "failed", failure
    if len(text) < len(sequence):
        return "truncated", f"{len(sequence)} residues cut to the first {len(text)}"
    return "embedded", ""
