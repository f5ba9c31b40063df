"""Where a run keeps its files, and the facts about itself that it leaves there."""

from __future__ import annotations

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
from .schema import HITS, PART_QUERIES, Space, names
from .store import remove

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

__all__ = [
    "EXPORTS",
    "LEDGER",
    "MANIFEST_FORMAT",
    "RunFolder",
    "aside",
    "count_rows",
    "file_sha256",
    "peak_memory_bytes",
    "read_parquet",
    "software_versions",
    "text_aside",
    "write_aside",
    "write_json",
    "write_parquet",
]

REPORTED_PACKAGES = (
    "fantasia-dask", "biopython", "dask", "distributed", "h5py", "numba", "numpy", "pandas", "parasail", "pyarrow",
    "torch", "transformers", "zarr",
)  # fmt: skip

MANIFEST_FORMAT = "fantasia-dask-run"

EXPORTS: dict[str, tuple[str, ...]] = {
    "summary": ("summary.csv", "summary.tsv"),
    "consensus": ("consensus.tsv",),
    "topgo": ("topgo",),
    "topgo-genes": ("exports/topgo_genes",),
    "gaf": ("exports/annotations.gaf",),
    "gpad": ("exports/annotations.gpad", "exports/annotations.gpi"),
    "clusterprofiler": ("exports/clusterprofiler",),
    "goatools": ("exports/goatools.tsv",),
    "goslim": ("exports/goslim.tsv",),
    "cafa": ("exports/cafa.tsv",),
    "multiqc": ("exports/fantasia_dask_mqc.json",),
    "raw-csv": ("raw_results",),
    "raw-tsv": ("annotations.tsv.gz",),
    "sequences": ("sequences.fasta", "query_index_mapping.csv"),
    "report": ("report.html", "figures"),
    "ro-crate": ("ro-crate-metadata.json",),
}
"""What a report makes, and where in the run folder it lies; `ledger.open_files` tells what of it is finished."""

LEDGER = "ledger.json"
RESULTS = ("donors", "status.tsv", "manifest.json")
"""What a run makes of its hits and annotations, and makes anew each time."""

STORES = ("embeddings.zarr", "embeddings.h5")
MADE_ONCE = ("config.yaml", "queries.parquet")
"""What a run makes before anything else."""


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
        return self.path / "donors" / "proteins.parquet"

    @property
    def own_annotations(self) -> Path:
        """The annotations that may be lent, where they are not all of the reference's as they are."""
        return self.path / "donors" / "annotations.parquet"

    @property
    def own_terms(self) -> Path:
        """The terms of the run; only where `own_annotations` are."""
        return self.path / "donors" / "terms.parquet"

    @property
    def own_relations(self) -> Path:
        """The edges of the graph of the run; only where `own_annotations` are."""
        return self.path / "donors" / "relations.parquet"

    def embeddings(self, file_format: str) -> Path:
        """The query vectors."""
        return self.path / ("embeddings.h5" if file_format == "hdf5" else "embeddings.zarr")

    def hits(self, model: str, layer: int) -> Path:
        """The neighbours found in one embedding space: a folder of Parquet parts of `schema.HITS`."""
        return self.path / "hits" / f"model={model}" / f"layer={layer}"

    def read_hits(self, model: str, layer: int, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the neighbours found in one embedding space: columns of `schema.HITS`, in the order of the queries."""
        import pandas as pd

        parts = sorted(self.hits(model, layer).glob("part-*.parquet"))
        wanted = names(HITS) if columns is None else list(columns)
        nothing = pd.DataFrame({c.name: pd.Series(dtype=c.dtype) for c in HITS if c.name in wanted})
        return pd.concat([read_parquet(part, wanted) for part in parts] or [nothing], ignore_index=True)

    @property
    def annotations(self) -> Path:
        """The transferred terms, a Parquet dataset of `schema.RAW_ANNOTATIONS`."""
        return self.path / "annotations"

    def annotations_of(self, model: str, layer: int) -> Path:
        """The transferred terms of one embedding space: a folder of Parquet parts, cut like the hits."""
        return self.annotations / f"model={model}" / f"layer={layer}"

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

    def clear_exports(self) -> None:
        """Remove what a report makes: a stage calls it before it changes what exports are made from."""
        remove(self.path / LEDGER)
        for name in EXPORTS:
            self.clear_export(name)

    def clear_export(self, name: str) -> None:
        """Remove the files of one export, whole or half written; those that others keep beside them stay."""
        for file in EXPORTS[name]:
            path = self.path / file
            remove(path)
            remove(path.with_name(path.name + ".partial"))
            if path.parent != self.path and path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()

    def read_queries(self) -> Iterator[pd.DataFrame]:
        """Yield the query proteins a part at a time, `schema.QUERIES`."""
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(self.queries).iter_batches(PART_QUERIES):
            yield batch.to_pandas()

    def clear_results(self, spaces: Iterable[Space]) -> None:
        """Remove what an earlier run of this name made and this one makes anew, or does not make at all.

        Hits and annotations of these spaces stay, and exports if there are no others: their ledgers tell what of them
        is taken up.
        """
        for name in RESULTS:
            remove(self.path / name)
        wanted = {folder(s.model, s.layer) for s in spaces for folder in (self.hits, self.annotations_of)}
        others = {*self.path.glob("hits/*/*"), *self.path.glob("annotations/*/*")} - wanted
        if others:
            self.clear_exports()
        for found in others:
            remove(found)

    def clear(self) -> None:
        """Remove everything that runs of this name have made, but for the journal; files of others stay."""
        self.clear_exports()
        self.clear_results(())
        stores = [f"{store}{rest}" for store in STORES for rest in ("", ".parts", ".partial")]
        for name in ("hits", "annotations", *MADE_ONCE, *stores):
            remove(self.path / name)

    @property
    def log(self) -> Path:
        """What happened, line by line."""
        return self.path / "run.log"

    @property
    def events(self) -> Path:
        """The same for programs: one JSON object per line."""
        return self.path / "events.jsonl"

    @property
    def lock(self) -> Path:
        """Who works here; there only while a run does."""
        return self.path / "run.lock"


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


def write_parquet(frame: pd.DataFrame, path: Path, group_rows: int | None = None) -> None:
    """Write a table as Parquet, aside, with a checksum on every page; equal tables give equal bytes.

    Parameters
    ----------
    frame : DataFrame
    path : Path
    group_rows : int, optional
        Rows that a reader can fetch without the others.
    """
    with aside(path) as partial:
        frame.to_parquet(partial, index=False, compression="zstd", write_page_checksum=True, row_group_size=group_rows)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table that `write_parquet` wrote, and verify its checksums.

    Raises
    ------
    InputError
        If the file is damaged or missing.
    """
    with _readable(path) as file:
        return file.read(columns=None if columns is None else list(columns)).to_pandas()


def count_rows(path: Path) -> int:
    """Return the rows of a table that `write_parquet` wrote, as its last bytes tell; a cut file has none.

    Raises
    ------
    InputError
        If the file is cut, no table, or missing.
    """
    with _readable(path) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _readable(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a table; whatever is wrong with it is one sentence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        yield pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read ({reason}): delete it; the same command makes it again.") from error
