"""Vectors on their way to the store: one committed file per packet, named by its content.

A part is a Parquet file with a column ``digest`` (SHA-256 of the sequence, 32 bytes) and a column ``layer_<k>`` (d
little-endian float32) for every layer, with a checksum on every page and one per layer in the metadata. It is written
aside, synced and renamed: what bears its name is whole. Parts of one folder come from one model, revision, profile and
precision, so that several runs may share a folder.
"""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from ..errors import FantasiaWarning

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Part", "clear_abandoned", "find_parts", "write_part"]

DAY = 24 * 3600


def write_part(
    folder: str | os.PathLike[str], digests: Sequence[str], layers: Sequence[int], vectors: np.ndarray
) -> Path:
    """Commit the vectors of some sequences as one file.

    Parameters
    ----------
    folder
        Of one model, revision and profile; made if it is not there.
    digests : sequence of str, length m
        SHA-256 of each sequence, in hexadecimal.
    layers : sequence of int
    vectors : array, shape (m, layers, d), float32

    Returns
    -------
    Path
        The file, named by the digests and layers it holds.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"digest": pa.array([bytes.fromhex(digest) for digest in digests], pa.binary(32))}
    checksums = {}
    for i, layer in enumerate(layers):
        columns[f"layer_{layer}"] = _as_binary(vectors[:, i])
        checksums[f"layer_{layer}"] = _checksum(layer, digests, vectors[:, i])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256("\n".join([*digests, *map(str, layers)]).encode()).hexdigest()[:32]
    final = folder / f"{name}.parquet"
    aside = folder / f"{name}.{uuid4().hex}.partial"
    with aside.open("wb") as stream:
        pq.write_table(
            pa.table(columns).replace_schema_metadata(checksums),
            stream,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        )
        stream.flush()
        os.fsync(stream.fileno())
    aside.rename(final)
    return final


def _checksum(layer: int, digests: Sequence[str], vectors: np.ndarray) -> str:
    """Return the SHA-256 of one layer; Parquet's own checksums leave out the headers that say which column is which."""
    sha256 = hashlib.sha256("\n".join([str(layer), *digests]).encode())
    sha256.update(np.ascontiguousarray(vectors, "<f4").data)
    return sha256.hexdigest()


def _as_binary(vectors: np.ndarray) -> pa.Array:
    """Turn (m, d) float32 into m values of 4 d bytes."""
    import pyarrow as pa

    block = np.ascontiguousarray(vectors, "<f4")
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(4 * block.shape[1]), len(block), [None, pa.py_buffer(block)])


@dataclass(frozen=True)
class Part:
    """One committed file of vectors."""

    path: str

    def digests(self) -> list[str]:
        """Return the SHA-256 of each sequence, in the order of the rows."""
        return [value.hex() for value in self._column("digest").to_pylist()]

    def layers(self) -> set[int]:
        """Return the layers that the file holds."""
        import pyarrow.parquet as pq

        return {int(n.removeprefix("layer_")) for n in pq.read_schema(self.path).names if n.startswith("layer_")}

    def checksum(self, layer: int) -> str:
        """Return the SHA-256 that was noted when the layer was written."""
        import pyarrow.parquet as pq

        return (pq.read_schema(self.path).metadata or {})[f"layer_{layer}".encode()].decode("ascii")

    def vectors(self, layer: int) -> np.ndarray:
        """Return the vectors of one layer, shape (m, d), float32; the checksums are verified."""
        column = self._column(f"layer_{layer}")
        size = column.type.byte_width
        chunks = [
            np.frombuffer(chunk.buffers()[1], "<f4", len(chunk) * size // 4, chunk.offset * size).reshape(-1, size // 4)
            for chunk in column.chunks
        ]
        return np.concatenate(chunks) if chunks else np.empty((0, size // 4), np.float32)

    def rows(self, layer: int, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of some rows, shape (len(rows), d), float32."""
        return self.vectors(layer)[rows]

    def _column(self, name: str) -> pa.ChunkedArray:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path, page_checksum_verification=True).read(columns=[name]).column(name)


def find_parts(folder: Path, wanted: Collection[str], layers: Sequence[int]) -> dict[int, dict[str, tuple[Part, int]]]:
    """Look for committed vectors.

    A damaged file is left out with a warning, and removed: its vectors are computed again.

    Parameters
    ----------
    folder : Path
        Of one model, revision and profile; need not exist.
    wanted : collection of str
        Digests.
    layers : sequence of int

    Returns
    -------
    dict of int to dict
        For each layer, the file and row of every wanted digest that was found.
    """
    found: dict[int, dict[str, tuple[Part, int]]] = {layer: {} for layer in layers}
    wanted = set(wanted)
    for path in sorted(folder.glob("*.parquet")):
        part = Part(os.fspath(path))
        for layer, rows in _readable(part, wanted, layers):
            found[layer].update((digest, (part, row)) for digest, row in rows.items() if digest not in found[layer])
    return found


def _readable(part: Part, wanted: Collection[str], layers: Sequence[int]) -> Iterable[tuple[int, dict[str, int]]]:
    """Return the wanted rows of a file for each layer, after reading them to verify their checksums."""
    import pyarrow as pa

    try:
        digests = part.digests()
        rows = {digest: row for row, digest in enumerate(digests) if digest in wanted}
        held = [layer for layer in layers if rows and layer in part.layers()]
        for layer in held:
            vectors = part.vectors(layer)
            if part.checksum(layer) != _checksum(layer, digests, vectors):
                raise ValueError(f"layer {layer} is not as it was written")
            if not np.isfinite(vectors).all():
                raise ValueError("values that are not finite")
    except FileNotFoundError:
        return []  # another run that shares the folder took it away
    except (OSError, pa.ArrowException, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        warnings.warn(
            f"{part.path} is damaged ({reason}): its vectors are computed again.", FantasiaWarning, stacklevel=2
        )
        Path(part.path).unlink(missing_ok=True)
        return []
    return [(layer, rows) for layer in held]


def clear_abandoned(folder: Path) -> None:
    """Remove what killed runs left half-written; a day old, so that no run that shares the folder is disturbed."""
    for path in folder.glob("*.partial"):
        try:
            if time.time() - path.stat().st_mtime > DAY:
                path.unlink()
        except FileNotFoundError:
            continue
