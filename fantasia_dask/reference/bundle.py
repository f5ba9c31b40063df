"""A reference on disk: one folder that anybody makes, checks, carries and shares.

::

    manifest.json         what it is made of: format, sources, evidence, counts, GO release, embedding spaces
    embeddings.zarr       vectors (r, d) per model and layer; row i is that of the proteins with row i
    proteins.parquet      annotations.parquet      terms.parquet      relations.parquet
    subsets.parquet       GO's slims and other subsets, if it was built with an ontology
    taxonomy.parquet      lineages of the taxa, if it was built with an NCBI dump
    checksums.json        SHA-256 of every other file
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .._version import __version__
from ..errors import InputError
from ..interchange import import_vectors
from ..locations import as_path, check_writable, is_remote, is_url, reachable
from ..schema import ANNOTATIONS, PROTEINS, RELATIONS, SUBSETS, TAXONOMY, TERMS, Column, Space
from ..store import EmbeddingStore, open_store, remove, space_from
from .build import ReferenceTables, typed
from .checksums import CHECKSUMS, file_digest, verified_bytes, verify_checksums, verify_files, write_checksums
from .lineages import Taxonomy

if TYPE_CHECKING:
    import dask.array as da
    import pandas as pd

__all__ = ["Reference", "describe", "open_reference", "verify_reference", "write_reference"]

FORMAT = "fantasia-dask-reference"
VERSION = 1
MANIFEST = "manifest.json"
EMBEDDINGS = "embeddings.zarr"
TABLES: dict[str, tuple[Column, ...]] = {
    "proteins": PROTEINS,
    "annotations": ANNOTATIONS,
    "terms": TERMS,
    "relations": RELATIONS,
}
OF_YOUR_OWN = "put the reference into a folder of your own"
MAY_LACK: dict[str, tuple[Column, ...]] = {"taxonomy": TAXONOMY, "subsets": SUBSETS}
"""Tables that a bundle may do without."""


class Reference:
    """A reference bundle, read when asked for. Made by `open_reference`.

    Attributes
    ----------
    path : Path
    manifest : dict
        What `manifest.json` says.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path = path
        self.manifest = manifest

    def __repr__(self) -> str:
        return f"<Reference {self.path}: {self.rows} rows; {', '.join(map(str, self.spaces))}>"

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa

        file = self.path / f"{name}.parquet"
        # Parquet would hand out other values for a flipped bit, without a word. What comes over a network is compared
        # as it came: read twice, it may be whole once only.
        try:
            with reachable(file):
                if is_remote(file):
                    content: IO[bytes] = io.BytesIO(verified_bytes(self.path, file.name))
                else:
                    verify_files(self.path, file.name)
                    content = file.open("rb")
                with content:
                    return typed(pd.read_parquet(content, engine="pyarrow"), (TABLES | MAY_LACK)[name])
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise InputError(f"{file} cannot be read ({error}): fetch or build the reference again.") from error

    def _table_if_there(self, name: str) -> pd.DataFrame | None:
        return self._table(name) if (self.path / f"{name}.parquet").is_file() else None

    @cached_property
    def proteins(self) -> pd.DataFrame:
        """One line per protein, columns of `schema.PROTEINS`."""
        return self._table("proteins")

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """One line per annotation, columns of `schema.ANNOTATIONS`."""
        return self._table("annotations")

    @cached_property
    def terms(self) -> pd.DataFrame:
        """One line per GO id, columns of `schema.TERMS`."""
        return self._table("terms")

    @cached_property
    def relations(self) -> pd.DataFrame:
        """The edges of the GO graph, columns of `schema.RELATIONS`."""
        return self._table("relations")

    @cached_property
    def taxonomy(self) -> Taxonomy | None:
        """Lineages, names and merged numbers of the taxa; None when the reference was made without an NCBI dump."""
        table = self.taxonomy_table
        return None if table is None else Taxonomy.from_table(table)

    @property
    def taxonomy_table(self) -> pd.DataFrame | None:
        """The taxa and their ancestors, columns of `schema.TAXONOMY`, or None."""
        return self._table_if_there("taxonomy")

    @cached_property
    def subsets(self) -> pd.DataFrame | None:
        """The terms of GO's subsets, columns of `schema.SUBSETS`; None when it was made without an ontology."""
        return self._table_if_there("subsets")

    @cached_property
    def store(self) -> EmbeddingStore:
        """The vectors; ids are the first accession of each row."""
        with reachable(self.path):
            # Chunks have checksums of their own; what describes them has not.
            verify_files(self.path, f"{EMBEDDINGS}/*zarr.json")
            told = [space_from(space) for space in self.manifest["spaces"]] if is_remote(self.path) else None
            return open_store(self.path / EMBEDDINGS, told)

    @property
    def spaces(self) -> tuple[Space, ...]:
        """The embedding spaces, by model and layer."""
        return self.store.spaces

    @property
    def rows(self) -> int:
        """r: the number of distinct sequences, and of rows in every array."""
        return len(self.store)

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 of the checksums of all files: equal content, wherever it lies, is equal."""
        return file_digest(self.path / CHECKSUMS)

    @contextmanager
    def kept_in_place(self) -> Iterator[None]:
        """Tell when another reference has come to its place during a ``with`` block, which has read parts of both.

        Raises
        ------
        InputError
            If one has; what the block raised is then its cause.
        """
        before = self.fingerprint
        try:
            yield
        except Exception as error:
            self.check_in_place(before, error)
            raise
        self.check_in_place(before)

    def check_in_place(self, fingerprint: str, error: Exception | None = None) -> None:
        """Raise `InputError` if another reference is in its place now than the one of this fingerprint."""
        try:
            same = file_digest(self.path / CHECKSUMS) == fingerprint
        except OSError:
            same = False
        if not same:
            raise InputError(f"{self.path} was replaced while it was read: give the same command again.") from error

    def vectors(self, model: str, layer: int, block_rows: int | None = None) -> da.Array:
        """Return the vectors of one space as a lazy Dask array, shape (r, d); as `EmbeddingStore.vectors`."""
        return self.store.vectors(model, layer, block_rows)


# Writing ------------------------------------------------------------------------------------------------------------


def write_reference(
    path: str | os.PathLike[str],
    *,
    tables: ReferenceTables,
    embeddings: str | os.PathLike[str],
    sources: Iterable[str | os.PathLike[str]] | None = None,
    overwrite: bool = False,
    move: bool = False,
) -> Reference:
    """Write a bundle aside and give it its name when it is whole.

    Parameters
    ----------
    path
        The folder to make.
    tables
        What `collect` made.
    embeddings
        A finished store with one entry per row of the reference, in row order, named by the first accession of the
        row: what `gather_embeddings` makes, or embedding `tables.representatives`.
    sources
        Files whose name, size and checksum the manifest records; by default those that `tables` was made from.
    overwrite : bool
        Replace a bundle that is there. Anything else at `path` is never touched.
    move : bool
        Move the store into the bundle instead of copying it.

    Raises
    ------
    InputError
        If there is something at `path` already, or the store's rows are not those of the tables.
    """
    path, embeddings = Path(path), Path(embeddings)
    check_free(path, overwrite)
    _check_rows(open_store(embeddings), tables)
    partial = path.with_name(path.name + ".partial")
    remove(partial)
    partial.mkdir(parents=True)
    try:
        for name, columns in TABLES.items():
            _write_table(partial / f"{name}.parquet", typed(getattr(tables, name), columns))
        for name, columns in MAY_LACK.items():
            if (table := getattr(tables, name)) is not None:
                _write_table(partial / f"{name}.parquet", typed(table, columns))
        store = _place_store(embeddings, partial / EMBEDDINGS, move)
        manifest = _manifest(tables, store, tables.sources if sources is None else sources)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        write_checksums(partial)
        _rename(partial, path)
    finally:
        remove(partial)
    return open_reference(path)


def beside(path: Path, ending: str) -> Path:
    """Return the hidden place beside a bundle that is to be, where something is kept until it is made.

    One name for each bundle: what a killed command left is found by the next, and not kept beside it for ever.

    Raises
    ------
    InputError
        If the path ends in no name: it is ``.``, ``..``, the root, or ends in one of them.

    Examples
    --------
    >>> beside(Path("references/human"), "making")
    PosixPath('references/.human.making')
    """
    _check_named(path)
    return path.with_name(f".{path.name}.{ending}")


def _check_named(path: Path) -> None:
    if path.name in ("", ".."):
        raise InputError(f"{path} is no name: expected that of the folder to make, such as references/human.")


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse to make a bundle where none can be, or where something is that may not be replaced.

    Parameters
    ----------
    path : Path
        The folder to make; one that is there and empty may be taken.
    overwrite : bool
        Whether a bundle may be replaced.

    Raises
    ------
    InputError
        If `path` is a URL or no name, something else than a bundle is there, or its folder cannot be written.
    """
    _check_named(path)
    if is_url(path):
        raise InputError(f"{path} is an address, and a reference is made on this machine: name a folder, and copy it.")
    try:
        _check_replaceable(path, overwrite)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): {OF_YOUR_OWN}.") from error
    check_writable(path.parent, OF_YOUR_OWN)


def _check_replaceable(path: Path, overwrite: bool) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    if not is_reference(path):
        raise InputError(f"{path} exists and is not a reference: give another name.")
    if not overwrite:
        raise InputError(f"{path} holds a reference already: give another name, or --overwrite to replace it.")


def _check_rows(store: EmbeddingStore, tables: ReferenceTables) -> None:
    """Refuse a store whose rows are not those of the proteins: every answer would be of the wrong protein."""
    expected = [protein.accession for protein in tables.representatives]
    found = list(store.ids)
    if found == expected:
        return
    if len(found) != len(expected):
        raise InputError(f"{store.path} has {len(found)} rows, the reference {len(expected)}: expected as many.")
    row = next(i for i, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
    raise InputError(
        f"row {row} of {store.path} is {found[row]!r} where the reference has {expected[row]!r}: "
        "expected the first accession of each row, in row order."
    )


def _place_store(source: Path, target: Path, move: bool) -> EmbeddingStore:
    if not source.is_dir():
        return import_vectors(source, target)
    if move:
        shutil.move(source, target)
    else:
        shutil.copytree(source, target)
    return open_store(target)


def _write_table(file: Path, table: pd.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), file, compression="zstd")


def _manifest(
    tables: ReferenceTables, store: EmbeddingStore, sources: Iterable[str | os.PathLike[str]]
) -> dict[str, Any]:
    spaces = [asdict(space) | {"vectors": store.count(space.model, space.layer)} for space in store.spaces]
    return {
        "format": FORMAT,
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": f"fantasia-dask {__version__}",
        "sources": [{"name": p.name, "bytes": p.stat().st_size, "sha256": file_digest(p)} for p in map(Path, sources)],
        "go_release": tables.go_release,
        "evidence": list(tables.evidence),
        "counts": tables.counts,
        "spaces": spaces,
    }


def _rename(partial: Path, path: Path) -> None:
    """Put the new bundle in the place of the old one, which is gone only when the new one is there."""
    old = path.with_name(path.name + ".old")
    if path.exists():
        remove(old)
        path.rename(old)
    partial.rename(path)
    remove(old)


# Reading ------------------------------------------------------------------------------------------------------------


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of a bundle; None if the folder holds none, or one of something else."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except PermissionError as error:
        raise InputError(f"{path / MANIFEST} cannot be read ({error.strerror}): change its permissions.") from error
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("format") == FORMAT else None


def is_reference(path: str | os.PathLike[str]) -> bool:
    """Tell whether a folder is a reference bundle, by its manifest."""
    return _read_manifest(Path(path)) is not None


def open_reference(path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> Reference:
    """Open a reference bundle; nothing but its manifest is read.

    Parameters
    ----------
    path
        A folder, or a URL that fsspec knows (``s3://...``, ``https://...``), read lazily: tables when they are asked
        for, vectors block by block.
    storage_options : mapping, optional
        What fsspec needs beside a URL, such as ``{"anon": True}``.

    Raises
    ------
    InputError
        If there is no bundle at `path`, a newer release wrote it, or a part of it is missing.
    """
    path = as_path(path, storage_options)
    with reachable(path):
        if not (path / MANIFEST if is_remote(path) else path).exists():
            raise InputError(
                f"{path} does not exist: expected a reference, as `fantasia-dask reference build`, `fantasia-dask "
                "reference import` or `fantasia-dask initialize` makes it."
            )
        manifest = _read_manifest(path)
    if manifest is None:
        raise InputError(
            f"{path} is not a reference: expected a folder with the {MANIFEST} that `fantasia-dask reference build` "
            "writes."
        )
    version = manifest.get("version")
    if version != VERSION:
        raise InputError(
            f"{path} has format version {version}; this release reads {VERSION}. Update fantasia-dask, or build the "
            "reference again."
        )
    for name in (*(f"{table}.parquet" for table in TABLES), f"{EMBEDDINGS}/zarr.json", CHECKSUMS):
        if not (path / name).is_file():
            raise InputError(f"{path / name} is missing: fetch or build the reference again.")
    return Reference(path, manifest)


def verify_reference(path: str | os.PathLike[str]) -> int:
    """Compare every file of a bundle with its checksum and return how many there are.

    Raises
    ------
    InputError
        If it is no bundle, or naming the first file that is missing, damaged or does not belong to it.
    """
    if is_remote(as_path(path)):
        raise InputError(f"{path} is not on this machine: verify a copy of it.")
    path = Path(path)
    if not is_reference(path) and not (path / CHECKSUMS).is_file():
        open_reference(path)
    return verify_checksums(path)


def describe(path: str | os.PathLike[str]) -> str:
    """Tell what a bundle holds, as text for the terminal: what can be asked of it before a run."""
    from .info import describe_reference

    return describe_reference(open_reference(path))
