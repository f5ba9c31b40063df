"""The vectors of a reference: from stores in any order to one whose rows are those of the proteins."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import FantasiaWarning, InputError
from ..schema import Space
from ..sequences import Protein
from ..store import EmbeddingStore, StoreWriter, open_store, sequence_digest
from .build import ReferenceTables
from .sources import bare_accession

__all__ = ["NOWHERE", "gather_embeddings", "gather_rows", "warn_of_absent"]

NOWHERE = -1


@dataclass(frozen=True)
class _Source:
    """One store, and where it has the vector of each reference row: shape (r,), int64, -1 where it has none."""

    store: EmbeddingStore
    place: np.ndarray

    def has(self, space: Space) -> np.ndarray:
        """Tell for which reference rows this store has a vector of a space: shape (r,), bool."""
        if not self.store.has(space.model, space.layer):
            return np.zeros(len(self.place), bool)
        present = self.store.present(space.model, space.layer)
        return (self.place != NOWHERE) & present[self.place]


def gather_embeddings(
    tables: ReferenceTables, stores: EmbeddingStore | Iterable[EmbeddingStore], out: str | os.PathLike[str]
) -> EmbeddingStore:
    """Bring vectors of one or more stores into the row order of a reference.

    A row takes the vector of any of its proteins, found by accession (``sp|P1|NAME`` answers for ``P1``), from the
    first store that has it. A row without a vector is not `present` in that space and never answers a query.

    Parameters
    ----------
    tables
        What `collect` made.
    stores
        For instance what `import_vectors` made, one per species; several may share an embedding space.
    out
        The store to write (``.zarr``).

    Raises
    ------
    InputError
        If no protein of the reference has a vector, a store's sequence is not the reference's, or two stores
        disagree on dimension or profile of one model and layer.
    """
    stores = [stores] if isinstance(stores, EmbeddingStore) else list(stores)
    spaces = _common_spaces(stores)
    sources = [_Source(store, _places(tables, store)) for store in stores]
    if not any(source.has(space).any() for source in sources for space in spaces):
        example = next((str(name) for store in stores for name in store.ids[:1]), "none")
        raise InputError(
            f"no protein of the reference has a vector: the vectors are of {example!r} and others, the FASTA names "
            f"{tables.representatives[0].accession!r} and others."
        )
    return _write(tables, sources, spaces, out)


def warn_of_absent(store: EmbeddingStore) -> None:
    """Warn of rows that have no vector in a space: a half-fitting FASTA makes half a reference."""
    for space in store.spaces:
        absent = len(store) - store.count(space.model, space.layer)
        if absent:
            warnings.warn(
                f"{absent} of the {len(store)} sequences of the reference have no vector in {space}, and never answer.",
                FantasiaWarning,
                stacklevel=2,
            )


def gather_rows(
    tables: ReferenceTables,
    stores: Iterable[EmbeddingStore],
    places: Iterable[np.ndarray],
    out: str | os.PathLike[str],
    advance: Callable[[int], None] = lambda rows: None,
) -> EmbeddingStore:
    """Bring vectors into the row order of a reference, when it is known where each of them is.

    Parameters
    ----------
    tables
        The reference.
    stores
        Where the vectors are; a row takes the vector of the first store that has it.
    places : int64 arrays, shape (r,)
        One per store: which of its rows belongs to a row of the reference, -1 where none does.
    out
        The store to write (``.zarr``).
    advance : callable
        Told how many more rows of a space are written.

    Raises
    ------
    InputError
        If two stores disagree on dimension or profile of one model and layer.
    """
    stores = list(stores)
    sources = [_Source(store, place) for store, place in zip(stores, places, strict=True)]
    return _write(tables, sources, _common_spaces(stores), out, advance)


def _write(
    tables: ReferenceTables,
    sources: list[_Source],
    spaces: list[Space],
    out: str | os.PathLike[str],
    advance: Callable[[int], None] = lambda rows: None,
) -> EmbeddingStore:
    rows: Sequence[Protein] = tables.representatives
    with StoreWriter(
        out, ids=[p.accession for p in rows], sequences=[p.sequence for p in rows], spaces=spaces
    ) as writer:
        for space in spaces:
            for start in range(0, len(rows), writer.chunk_rows):
                stop = min(start + writer.chunk_rows, len(rows))
                writer.write(space, start, *_block(sources, space, start, stop))
                advance(stop - start)
    return open_store(Path(out))


def _common_spaces(stores: list[EmbeddingStore]) -> list[Space]:
    """Return every space of the stores; what several hold must be of one kind, and keeps the wider dtype."""
    spaces: dict[tuple[str, int], Space] = {}
    for store in stores:
        for space in store.spaces:
            known = spaces.setdefault((space.model, space.layer), space)
            if (known.dimension, known.profile) != (space.dimension, space.profile):
                raise InputError(
                    f"{store.path} has {space} with d = {space.dimension} and profile {space.profile}, another store "
                    f"has it with d = {known.dimension} and profile {known.profile}: they cannot be compared."
                )
            wider = np.promote_types(known.dtype, space.dtype).name
            spaces[space.model, space.layer] = replace(known, dtype=wider)
    return list(spaces.values())


def _places(tables: ReferenceTables, store: EmbeddingStore) -> np.ndarray:
    """Find the vector of each reference row in a store, by the accession of any of its proteins."""
    index = {bare_accession(str(name)): i for i, name in reversed(list(enumerate(store.ids)))}
    index |= {str(name): i for i, name in enumerate(store.ids)}
    place = np.full(len(tables.representatives), NOWHERE, "int64")
    digests = store.digests
    for row, accession, sequence in tables.proteins[["row", "accession", "sequence"]].itertuples(index=False):
        i = index.get(accession)
        if i is None or place[row] != NOWHERE:
            continue
        if digests[i] and digests[i] != sequence_digest(sequence):
            raise InputError(
                f"the vector of protein {accession!r} in {store.path} is of another sequence than the reference's: "
                "use the FASTA that the vectors were made from."
            )
        place[row] = i
    return place


def _block(sources: list[_Source], space: Space, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Fill rows ``start .. stop`` of one space from the first store that has each of them."""
    vectors = np.full((stop - start, space.dimension), np.nan, space.dtype)
    present = np.zeros(stop - start, bool)
    for source in sources:
        wanted = np.flatnonzero(source.has(space)[start:stop] & ~present)
        if len(wanted):
            vectors[wanted] = _read_rows(source.store, space, source.place[start + wanted])
            present[wanted] = True
    return vectors, present


def _read_rows(store: EmbeddingStore, space: Space, rows: np.ndarray) -> np.ndarray:
    """Read scattered rows of a store, each of its chunks at most once."""
    stored = store.stored(space.model, space.layer)
    out = np.empty((len(rows), space.dimension), stored.dtype)
    for chunk in np.unique(rows // store.chunk_rows):
        start = int(chunk) * store.chunk_rows
        here = np.flatnonzero(rows // store.chunk_rows == chunk)
        block = stored[start : min(start + store.chunk_rows, len(store))]
        out[here] = block[rows[here] - start]
    return out
