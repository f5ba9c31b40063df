"""Embeddings on disk: Zarr and HDF5 behind one door.

A store is one tree, the same in both formats::

    ids  lengths  digests  sequences                (n,)    one entry per protein
    models/<model>/layer_<layer>/vectors            (n, d)  float16 or float32, chunked by rows
    models/<model>/layer_<layer>/present            (n,)    False where the protein has no vector

A row without a vector holds NaN. Chunks carry a checksum. A store is written aside, under a name that ends in
``.partial``, and renamed when it is complete: what bears its final name is whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .errors import InputError, did_you_mean
from .locations import as_path, is_remote
from .schema import Space
from .stored import HDF5_SUFFIXES, StoredArray, StoredBlock, opened, whole

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["CHUNK_ROWS", "EmbeddingStore", "StoreWriter", "StoredArray", "open_store", "sequence_digest", "space_from"]

CHUNK_ROWS = 4096
"""Rows of one chunk: 8 MB of float16 at d = 1024, large enough to read at the speed of the disk."""

ENCODING = "fantasia-dask-embeddings"
ENCODING_VERSION = "1"
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
STORED_DTYPES = ("float16", "float32")
MAX_DIMENSION = 65_536
"""No model comes near; a larger d is a damaged or hostile file, refused before memory is asked for."""


def sequence_digest(sequence: str) -> str:
    """Return the SHA-256 of a sequence, in hexadecimal: what tells that two vectors are of the same protein.

    Examples
    --------
    >>> sequence_digest("MKT")[:12]
    '366893d2245f'
    """
    return hashlib.sha256(sequence.encode()).hexdigest()


class EmbeddingStore:
    """Vectors of n proteins in one or more embedding spaces, read lazily.

    Made by `open_store`.

    Attributes
    ----------
    path : Path
    spaces : tuple of Space
        What is stored, ordered by model and layer.
    attributes : dict
        Anything the writer noted about the whole store.
    """

    def __init__(self, path: Path, spaces: Sequence[Space], attributes: dict[str, Any], chunk_rows: int, n: int):
        self.path = path
        self.spaces = tuple(spaces)
        self.attributes = attributes
        self.chunk_rows = chunk_rows
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        spaces = ", ".join(f"{space} ({space.dimension}-d {space.dtype})" for space in self.spaces)
        return f"<EmbeddingStore {self.path}: {self._n} proteins; {spaces}>"

    @cached_property
    def ids(self) -> np.ndarray:
        """Identifiers, shape (n,), exactly as given."""
        return whole(self.path, "ids", self._n)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Lengths in residues, shape (n,), int64; 0 where the sequence is not known."""
        return whole(self.path, "lengths", self._n)

    @cached_property
    def digests(self) -> np.ndarray:
        """SHA-256 of each sequence, shape (n,); an empty string where the sequence is not known."""
        return whole(self.path, "digests", self._n)

    @cached_property
    def sequences(self) -> np.ndarray:
        """Sequences, shape (n,); an empty string where only a vector is known."""
        return whole(self.path, "sequences", self._n)

    def space(self, model: str, layer: int) -> Space:
        """Return the stored space of this model and layer, or raise `InputError` naming those that are there."""
        for space in self.spaces:
            if (space.model, space.layer) == (model, layer):
                return space
        known = [str(space) for space in self.spaces]
        raise InputError(
            f"{self.path} has no vectors of {model} layer {layer}: it holds {', '.join(known) or 'none'}."
            + did_you_mean(f"{model} layer {layer}", known)
        )

    def has(self, model: str, layer: int) -> bool:
        """Tell whether vectors of this model and layer are stored."""
        return any((space.model, space.layer) == (model, layer) for space in self.spaces)

    def stored(self, model: str, layer: int) -> StoredArray:
        """Return a pointer to the vectors of one space, shape (n, d)."""
        space = self.space(model, layer)
        return StoredArray(
            self.path,
            f"{_space_key(space)}/vectors",
            (self._n, space.dimension),
            np.dtype(space.dtype),
            self.chunk_rows,
        )

    def vectors(self, model: str, layer: int, block_rows: int | None = None) -> da.Array:
        """Return the vectors of one space as a lazy Dask array.

        Parameters
        ----------
        model, layer
            The embedding space.
        block_rows : int, optional
            Rows of one Dask chunk; by default those of one chunk on disk.

        Returns
        -------
        dask array, shape (n, d), float16 or float32
            NaN in rows whose `present` is False.
        """
        import dask.array as da

        stored = self.stored(model, layer)
        return da.from_array(
            stored,
            chunks=(block_rows or self.chunk_rows, stored.shape[1]),
            asarray=False,
            meta=np.empty((0, 0), stored.dtype),
        )

    def pointers(self, model: str, layer: int, block_rows: int, rows: np.ndarray | None = None) -> da.Array:
        """Return vectors as a Dask array whose blocks are pointers (`StoredBlock`), for tasks that read for themselves.

        Parameters
        ----------
        model, layer
            The embedding space.
        block_rows : int
            Rows of one block.
        rows : int array, shape (m,), optional
            The rows wanted, in ascending order; by default all.

        Returns
        -------
        dask array, shape (m, d), float16 or float32
        """
        import dask.array as da
        from dask.base import tokenize
        from dask.highlevelgraph import HighLevelGraph

        stored = self.stored(model, layer)
        m = len(self) if rows is None else len(rows)
        cuts = [*range(0, m, block_rows), m]
        blocks: list[StoredBlock] = []
        for start, stop in pairwise(cuts):
            some: slice | np.ndarray = slice(start, stop) if rows is None else rows[start:stop]
            if rows is not None and rows[stop - 1] - rows[start] == stop - 1 - start:
                some = slice(int(rows[start]), int(rows[stop - 1]) + 1)
            blocks.append(StoredBlock(stored, some))
        name = f"pointers-{tokenize(stored, block_rows, rows)}"
        return da.Array(
            HighLevelGraph.from_collections(name, {(name, i, 0): block for i, block in enumerate(blocks)}),
            name,
            chunks=(tuple(len(block) for block in blocks), (stored.shape[1],)),
            meta=np.empty((0, 0), stored.dtype),
        )

    def fingerprint(self, model: str, layer: int) -> str:
        """Return a SHA-256 of the vectors of one space, in hexadecimal; it does not depend on the file format."""
        stored = self.stored(model, layer)
        sha256 = hashlib.sha256(f"{stored.shape}{stored.dtype.str}".encode())
        sha256.update(np.ascontiguousarray(self.present(model, layer)).data)
        for start in range(0, len(self), self.chunk_rows):
            sha256.update(np.ascontiguousarray(stored[start : start + self.chunk_rows]).data)
        return sha256.hexdigest()

    def present(self, model: str, layer: int) -> np.ndarray:
        """Tell which proteins have a vector in this space: shape (n,), bool."""
        return whole(self.path, f"{_space_key(self.space(model, layer))}/present", self._n)

    def count(self, model: str, layer: int) -> int:
        """Return how many proteins have a vector in this space."""
        return int(np.count_nonzero(self.present(model, layer)))


def _space_key(space: Space) -> str:
    return f"models/{space.model}/layer_{space.layer}"


def is_store(path: Path) -> bool:
    """Tell whether a path holds a store of ours, by what is inside and not by its name alone."""
    if path.suffix in HDF5_SUFFIXES:
        import h5py

        if not path.is_file() or not h5py.is_hdf5(path):
            return False
    elif not (path / "zarr.json").is_file():
        return False
    with opened(path) as root:
        encoding = root.attrs.get("encoding-type")
        return isinstance(encoding, str) and encoding == ENCODING


def open_store(path: str | os.PathLike[str], spaces: Iterable[Space] | None = None) -> EmbeddingStore:
    """Open a store for reading; nothing but its description is read.

    Parameters
    ----------
    path
        A ``.zarr`` folder or an ``.h5`` file written by `StoreWriter`; or the URL of such a folder.
    spaces : iterable of Space, optional
        What it holds, where that is known: a web server cannot be asked for the members of a folder.

    Raises
    ------
    InputError
        If there is no complete store at `path`.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> space = Space("Demo", layer=0, dimension=2)
    >>> path = Path(tempfile.mkdtemp(), "demo.zarr")
    >>> with StoreWriter(path, ids=["P1"], sequences=["MKT"], spaces=[space]) as writer:
    ...     writer.write(space, 0, np.ones((1, 2), "float32"))
    >>> open_store(path).vectors("Demo", 0).compute()
    array([[1., 1.]], dtype=float32)
    """
    path = as_path(path)
    if is_remote(path) and path.suffix in HDF5_SUFFIXES:
        raise InputError(f"{path} is HDF5, which is not read from afar: expected a .zarr folder, or a copy here.")
    if not (path / "zarr.json" if is_remote(path) else path).exists():
        raise InputError(f"{path} does not exist: expected embeddings (.zarr or .h5).")
    if not is_store(path):
        raise InputError(f"{path} is not a store of embeddings: expected one written by fantasia-dask.")
    found = None if spaces is None else list(spaces)
    with opened(path) as root:
        version = str(root.attrs.get("encoding-version"))
        if version != ENCODING_VERSION:
            raise InputError(
                f"{path} has format version {version}; this release reads {ENCODING_VERSION}. Update fantasia-dask."
            )
        attributes = {k: v for k, v in dict(root.attrs).items() if not k.startswith("encoding-")}
        chunk_rows = int(attributes.pop("chunk-rows"))
        if chunk_rows < 1:
            raise ValueError(f"chunks of {chunk_rows} rows")
        n = int(root["lengths"].shape[0])
        if found is None:
            models = root.get("models", {})
            found = [space_from(dict(models[model][layer].attrs)) for model in models for layer in models[model]]
    found.sort(key=lambda space: (space.model, space.layer))
    return EmbeddingStore(path, found, attributes, chunk_rows, n)


def space_from(attributes: Mapping[str, Any]) -> Space:
    """Return the embedding space that a file describes; what else it says is passed over."""
    known = {name: attributes[name] for name in Space.__dataclass_fields__}
    space = Space(**{**known, "layer": int(known["layer"]), "dimension": int(known["dimension"])})
    texts = (space.model, space.profile, space.checkpoint, space.revision, space.dtype)
    named = all(isinstance(text, str) for text in texts) and "/" not in space.model
    if not named or space.model in ("", ".", "..") or space.dtype not in STORED_DTYPES:
        raise ValueError(f"no embedding space: {space}")
    if space.layer < 0 or not 1 <= space.dimension <= MAX_DIMENSION:
        raise ValueError(f"no embedding space: layer {space.layer}, {space.dimension} dimensions")
    return space


class StoreWriter:
    """Write a store aside and give it its name when it is whole.

    One process writes, a chunk of rows at a time, in any order; used as a context manager it commits on success
    and leaves nothing behind on failure.

    Parameters
    ----------
    path
        Ends in ``.zarr``, or in ``.h5`` for HDF5. What was there before is replaced at the end, not sooner.
    ids : sequence of str
        One per protein, exactly as given.
    sequences : sequence of str
        One per protein; an empty string where only a vector is known.
    spaces : iterable of Space
        The embedding spaces that will be written.
    chunk_rows : int
        Rows of one chunk on disk.
    attributes : dict, optional
        Anything worth noting about the whole store; JSON values.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        ids: Sequence[str],
        sequences: Sequence[str],
        spaces: Iterable[Space],
        chunk_rows: int = CHUNK_ROWS,
        attributes: dict[str, Any] | None = None,
    ):
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self.chunk_rows = chunk_rows
        self.n = len(ids)
        self._hdf5 = self.path.suffix in HDF5_SUFFIXES
        for name in ids:
            check_text(name, hdf5=self._hdf5)
        remove(self.partial)
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        if self._hdf5:
            import h5py

            self._root: Any = h5py.File(self.partial, "w")
        else:
            import zarr

            self._root = zarr.open_group(self.partial, mode="w", zarr_format=3)
        self._root.attrs.update(
            {"encoding-type": ENCODING, "encoding-version": ENCODING_VERSION, "chunk-rows": chunk_rows}
            | (attributes or {})
        )
        # Kept as they were created: opened anew by name, a Zarr array forgets to write chunks without any vector.
        self._arrays: dict[str, Any] = {}
        self._create("ids", ids)
        self._create("sequences", sequences)
        self._create("digests", [sequence_digest(s) if s else "" for s in sequences])
        self._create("lengths", np.fromiter((len(s) for s in sequences), "int64", self.n))
        self._root.create_group("models")
        for space in spaces:
            self._create_space(space)

    def _create_space(self, space: Space) -> None:
        if space.dtype not in STORED_DTYPES:
            raise ValueError(f"vectors are stored as {' or '.join(STORED_DTYPES)}, not {space.dtype}")
        self._root.create_group(_space_key(space)).attrs.update(asdict(space))
        self._create(f"{_space_key(space)}/vectors", shape=(self.n, space.dimension), dtype=np.dtype(space.dtype))
        self._create(f"{_space_key(space)}/present", np.zeros(self.n, bool))

    def _create(
        self,
        key: str,
        values: Sequence[str] | np.ndarray | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> None:
        """Create one array with a checksum on every chunk, and fill it when its values are given."""
        text = isinstance(values, Sequence)
        if values is not None:
            shape, dtype = (len(values),), str if text else np.asarray(values).dtype
        assert shape is not None
        vectors = len(shape) == 2
        chunks = (max(1, min(self.chunk_rows if vectors else 65536, shape[0])), *shape[1:])
        if self._hdf5:
            import h5py

            array = self._root.create_dataset(
                key,
                shape,
                h5py.string_dtype() if text else dtype,
                chunks=chunks if shape[0] else None,
                fletcher32=bool(shape[0]) and not text,
                fillvalue=np.nan if vectors else None,
            )
        else:
            from zarr.codecs import Crc32cCodec, ZstdCodec

            array = self._root.create_array(
                key,
                shape=shape,
                dtype=dtype,
                chunks=chunks,
                # Real vectors hardly compress; their chunks are raw, so that reading them costs a copy and no more.
                compressors=[Crc32cCodec()] if vectors else [ZstdCodec(level=1, checksum=True)],
                fill_value=np.nan if vectors else None,
                config={"write_empty_chunks": True},
            )
        self._arrays[key] = array
        if values is not None and shape[0]:
            array[...] = np.asarray(values, dtype=object) if text else values

    def write(self, space: Space, start: int, vectors: np.ndarray, present: np.ndarray | None = None) -> None:
        """Write rows ``start .. start + len(vectors)`` of one space.

        Parameters
        ----------
        space
            One of those announced.
        start : int
            A multiple of `chunk_rows`, so that no chunk is written twice.
        vectors : array, shape (m, d)
            Cast to the space's dtype. m is `chunk_rows`, or what is left at the end.
        present : bool array, shape (m,), optional
            Which rows hold a vector; by default all. The others are filled with NaN.
        """
        stop = start + len(vectors)
        if start % self.chunk_rows or (stop != self.n and len(vectors) % self.chunk_rows):
            raise ValueError(f"rows {start} .. {stop} are not whole chunks of {self.chunk_rows} rows")
        if present is None:
            present = np.ones(len(vectors), bool)
        block = np.asarray(vectors, space.dtype)
        if not present.all():
            block = np.where(present[:, None], block, block.dtype.type(np.nan))
        self._arrays[f"{_space_key(space)}/vectors"][start:stop] = block
        self._arrays[f"{_space_key(space)}/present"][start:stop] = present

    def commit(self) -> None:
        """Close the store and give it its final name."""
        if self._hdf5:
            self._root.close()
        remove(self.path)
        self.partial.rename(self.path)

    def discard(self) -> None:
        """Close the store and remove what was written."""
        if self._hdf5:
            self._root.close()
        remove(self.partial)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def check_text(name: str, *, hdf5: bool) -> None:
    """Refuse an id that a file cannot hold: HDF5 ends a text at NUL, and nothing writes half of a surrogate pair.

    Raises
    ------
    InputError
        Naming the protein.
    """
    if hdf5 and "\0" in name:
        raise InputError(f"protein {name!r} has a NUL in its name, which HDF5 cannot hold: rename it or use .zarr.")
    if LONE_SURROGATE.search(name):
        raise InputError(f"protein {name!r} has half a surrogate pair in its name, which is no text: rename it.")


def remove(path: Path) -> None:
    """Delete a file or a folder, if there is one; a link is removed, not followed."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists() and stat.S_ISDIR(path.stat().st_mode):
        shutil.rmtree(path)
