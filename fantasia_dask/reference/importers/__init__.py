"""References from elsewhere, brought to bundles of ours without a server.

::

    FANTASIA's dump ------ archive.py, copy_text.py, vector_text.py -- fantasia_dump.py --.
    FANTASIA-Lite -------- fantasia_lite.py ----------------------------------------------+-- a bundle
    vectors, GAF, FASTA -- joined.py -----------------------------------------------------'
    bundles of ours ------ merge.py, subset.py ---------------------------------------------- a bundle

The vectors of a source come in any order; `placement.py` lays them down by row in raw files beside the bundle, and
copies those into its store a chunk at a time. An import that is stopped goes on when it is given again. Whatever is
wrong with a source, a bundle that was there stays.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...archives import is_archive
from ...errors import InputError
from ...interchange import recognise
from ...locations import is_url
from ...progress import Progress
from ...sequences import open_text
from ..build import with_taxonomy
from ..bundle import is_reference, write_reference
from ..dump_check import verify_dump
from ..making import identity, making
from ..sources import check_files
from .archive import is_dump
from .fantasia_dump import import_dump
from .fantasia_lite import import_lite, is_lite
from .joined import import_joined
from .merge import merge_references
from .subset import subset_reference

if TYPE_CHECKING:
    from ..bundle import Reference

__all__ = ["import_reference", "kind_of", "merge_references", "subset_reference"]

PACKED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
PLAIN_DUMPS = (b"--\n-- PostgreSQL", b"-- PostgreSQL", b"--\r\n-- PostgreSQL")


def kind_of(source: str | os.PathLike[str]) -> str:
    """Tell what a source is, by what is inside.

    Returns
    -------
    {"dump", "lite", "vectors"}
        FANTASIA's database dump; FANTASIA-Lite's bundle; a file of vectors in a layout that `interchange` knows.

    Raises
    ------
    InputError
        If it does not exist or is none of these.
    """
    import h5py

    path = Path(source)
    if is_url(path):
        raise InputError(
            f"{path} is an address, and a file on this machine is expected: `fantasia-dask initialize` fetches and "
            "imports what a configuration names below sources.reference.url."
        )
    _check_readable(path)
    if is_dump(path):
        return "dump"
    if is_lite(path):
        return "lite"
    if is_archive(path):
        raise InputError(
            f"{path} is an archive: unpack it first, and import what is in it (`fantasia-dask initialize` unpacks what "
            "it fetches)."
        )
    try:
        recognise(path)
    except InputError as error:
        if path.is_file() and h5py.is_hdf5(path):  # it is known what is wrong with it
            raise
        raise InputError(
            f"{path} is no reference that can be imported{_looks_like(path)}: expected FANTASIA's database dump "
            "(pg_dump -Fc or -Ft), FANTASIA-Lite's folder, or vectors (HDF5, npz, Zarr) with --annotations."
        ) from error
    return "vectors"


def _check_readable(path: Path) -> None:
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist: expected a reference to import.")
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            path.open("rb").close()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): change its permissions.") from error


def _looks_like(path: Path) -> str:
    """Name what is often taken for a reference."""
    if path.is_dir():
        if is_reference(path):
            return " (it is a reference already)"
        return " (a dump in the directory format)" if (path / "toc.dat").is_file() else ""
    with path.open("rb") as file:
        first = file.read(64).lstrip()
    if packed := next((name for magic, name in PACKED.items() if first.startswith(magic)), ""):
        return f" (it is packed: unpack it with {packed})"
    if first.startswith(PLAIN_DUMPS):
        return " (a dump in plain SQL)"
    return " (a web page)" if first[:1] == b"<" else ""


def import_reference(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    ontology: str | os.PathLike[str] | None = None,
    evidence: Collection[str] | None = None,
    annotations: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    fasta: str | os.PathLike[str] | None = None,
    taxonomy_dump: str | os.PathLike[str] | None = None,
    model: str | None = None,
    layer: int | None = None,
    profile: str | None = None,
    vectors_key: str | None = None,
    reader: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Reference:
    """Make a bundle of a reference that another tool wrote.

    Parameters
    ----------
    source
        FANTASIA's PostgreSQL dump, FANTASIA-Lite's folder, or vectors in any layout that `interchange` knows.
    out
        The folder to make.
    ontology : path, optional
        OBO: brings GO ids to current terms and gives the graph. Without it the terms are those of the source and have
        no relations. Vectors need it.
    evidence : collection of str, optional
        Evidence codes to keep; by default all that a dump or FANTASIA-Lite has, and of `annotations` the experimental
        ones.
    annotations : path or paths
        Vectors only: GAF, GPAD, tables with a header line, or goPredSim's lists of GO ids.
    fasta : path, optional
        Sequences, taxa, organisms and genes, where the source has none; with vectors, the proteins of the reference.
        Not for dumps, which have their own.
    taxonomy_dump : path, optional
        Folder of an NCBI dump: the reference then carries the lineages of its taxa, and needs no dump later.
    model, layer
        What made the vectors, where the source does not say.
    profile : str, optional
        Pooling convention; by default ``"pis-3.1"`` for a dump, else ``"unknown"``.
    vectors_key : str, optional
        The array of vectors to read, of a file that holds several.
    reader : {"auto", "python", "pg_restore"}
        How a dump is read.
    overwrite : bool
        Replace a reference that is there.
    progress : Progress, optional

    Raises
    ------
    InputError
        If the source is damaged or is no reference, naming what to do; an existing reference is then untouched.
    """
    source, out = Path(source), Path(out)
    listed = [annotations] if isinstance(annotations, str | os.PathLike) else list(annotations)
    kind = kind_of(source)
    _check_options(kind, source, listed, fasta, model, layer)
    beside = [*listed, *(path for path in (fasta, ontology) if path is not None)]
    check_files(*beside)
    for path in beside:
        with open_text(path) as text:
            text.readline()
    if taxonomy_dump is not None:  # read last, when the vectors have been: a broken one is found now
        verify_dump(taxonomy_dump)
    progress = progress or Progress()
    common: dict[str, Any] = {"ontology": ontology, "evidence": evidence, "profile": profile, "progress": progress}
    named: dict[str, Any] = {"fasta": fasta, "model": model, "layer": layer}
    made_from = {
        "version": 2,  # raised when rows are numbered, or vectors read, in another way
        "files": [identity(path) for path in (source, *beside)],
        "choices": [model, layer, profile, vectors_key, reader, None if evidence is None else sorted(evidence)],
    }
    with making(out, overwrite, progress, made_from) as scratch:
        if kind == "dump":
            tables, store = import_dump(source, scratch, reader=reader, **common)
        elif kind == "lite":
            tables, store = import_lite(source, scratch, **named, **common)
        else:
            tables, store = import_joined(source, scratch, annotations=listed, key=vectors_key, **named, **common)
        if taxonomy_dump is not None:
            tables = with_taxonomy(tables, taxonomy_dump)
        return write_reference(out, tables=tables, embeddings=store, overwrite=overwrite, move=True)


def _check_options(
    kind: str,
    source: Path,
    annotations: Sequence[str | os.PathLike[str]],
    fasta: str | os.PathLike[str] | None,
    model: str | None,
    layer: int | None,
) -> None:
    """Refuse what would be ignored."""
    if kind == "vectors" and not annotations:
        raise InputError(
            f"{source} holds vectors and no annotations: join them with GAF, GPAD, a table or goPredSim's lists, by "
            "--annotations, and with --fasta and --ontology."
        )
    if kind != "vectors" and annotations:
        raise InputError(f"{source} has annotations of its own: leave --annotations out.")
    if kind == "dump" and (fasta is not None or model is not None or layer is not None):
        raise InputError(f"{source} names its own proteins, models and layers: leave out --fasta, --model and --layer.")
