"""Where a run keeps its files, and the facts about itself that it leaves there."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .errors import InputError
from .store import remove

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MANIFEST_FORMAT",
    "RunFolder",
    "aside",
    "file_sha256",
    "peak_memory_bytes",
    "software_versions",
    "text_aside",
    "write_aside",
    "write_json",
    "write_parquet",
    "write_table",
]

REPORTED_PACKAGES = (
    "fantasia-dask", "biopython", "dask", "distributed", "h5py", "numba", "numpy", "pandas", "parasail", "pyarrow",
    "torch", "transformers", "zarr",
)  # fmt: skip

MANIFEST_FORMAT = "fantasia-dask-run"

RESULTS = (
    "hits", "annotations", "topgo", "raw_results", "summary.csv", "summary.tsv", "sequences.fasta",
    "query_index_mapping.csv", "status.tsv", "manifest.json", "report.html", "figures",
)  # fmt: skip
"""What a run makes of its embeddings, and makes anew each time."""


@dataclass(frozen=True)
class RunFolder:
    """The layout of ``<base_directory>/experiments/<prefix>/``."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def manifest(self) -> Path:
        """Versions, checksums, timings and counts."""
        return self.path / "manifest.json"

    @property
    def status(self) -> Path:
        """One line per input protein, model and layer."""
        return self.path / "status.tsv"

    @property
    def queries(self) -> Path:
        """The query proteins, `schema.QUERIES`."""
        return self.path / "queries.parquet"

    @property
    def donors(self) -> Path:
        """The numbers of the reference proteins that passed the taxonomy filter."""
        return self.path / "hits" / "donors.parquet"

    @property
    def newer_annotations(self) -> Path:
        """The reference's annotations in the terms of the configured ontology; only when one is configured."""
        return self.path / "hits" / "annotations.parquet"

    @property
    def newer_terms(self) -> Path:
        """The terms of the configured ontology; only when one is configured."""
        return self.path / "hits" / "terms.parquet"

    def embeddings(self, file_format: str) -> Path:
        """The query vectors."""
        return self.path / ("embeddings.h5" if file_format == "hdf5" else "embeddings.zarr")

    def hits(self, model: str, layer: int) -> Path:
        """The neighbours found in one embedding space, `schema.HITS`."""
        return self.path / "hits" / f"model={model}" / f"layer={layer}.parquet"

    @property
    def annotations(self) -> Path:
        """The transferred terms, a Parquet dataset of `schema.RAW_ANNOTATIONS`."""
        return self.path / "annotations"

    def annotation_part(self, model: str, layer: int, part: int) -> Path:
        """The terms of one block of queries in one embedding space."""
        return self.annotations / f"model={model}" / f"layer={layer}" / f"part-{part:05d}.parquet"

    def read_manifest(self) -> dict[str, Any]:
        """Return what is known about a finished run.

        Raises
        ------
        InputError
            If the run is not finished, or the file is not a manifest.
        """
        try:
            manifest = json.loads(self.manifest.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(
                f"{self.path} holds no finished run: it has no manifest.json. Give the command of the run again."
            ) from error
        except ValueError as error:
            raise InputError(f"{self.manifest} is damaged ({error}): give the command of the run again.") from error
        if not isinstance(manifest, dict) or manifest.get("format") != MANIFEST_FORMAT:
            raise InputError(f"{self.manifest} is not the manifest of a run: expected format {MANIFEST_FORMAT}.")
        return manifest

    def clear_results(self) -> None:
        """Remove what an earlier run of this name found, so that nothing of it is taken for the new one's."""
        for name in RESULTS:
            remove(self.path / name)

    @property
    def log(self) -> Path:
        """What happened, line by line."""
        return self.path / "run.log"


@contextmanager
def aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a file another name while it is written; when the block ends well, it is on disk and gets its own.

    A file that bears its name is whole, whenever the machine stopped. After an error nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "numbers.txt")
    >>> with aside(file) as partial:
    ...     _ = partial.write_text("1 2 3")
    >>> file.read_text(), list(file.parent.iterdir()) == [file]
    ('1 2 3', True)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    remove(partial)
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        remove(partial)


@contextmanager
def text_aside(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file for writing, aside; see `aside`."""
    with aside(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_aside(path: Path, content: str) -> None:
    """Write a text file aside."""
    with text_aside(path) as file:
        file.write(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file aside, keys in the order given."""
    write_aside(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a tab-separated table aside; a field that holds a tab, quote or newline is quoted."""
    with text_aside(path) as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def software_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a result."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in REPORTED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def peak_memory_bytes() -> int:
    """Return the largest resident size that this process has had."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, aside; equal tables give equal bytes."""
    with aside(path) as partial:
        frame.to_parquet(partial, index=False, compression="zstd")
