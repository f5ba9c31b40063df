"""Make a reference: tables from files, vectors computed here or brought along."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..progress import Progress
from .job import warn
from .vectors import steps

if TYPE_CHECKING:
    from distributed import Client

    from ..reference.build import ReferenceTables
    from ..reference.bundle import Reference
    from ..store import EmbeddingStore

__all__ = ["build_reference"]


def build_reference(
    out: str | os.PathLike[str],
    *,
    fasta: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    ontology: str | os.PathLike[str],
    model: str,
    layers: Sequence[int] = (0,),
    evidence: Collection[str] | None = None,
    taxonomy_dump: str | os.PathLike[str] | None = None,
    embeddings: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    vectors_key: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    family: str | None = None,
    profile: str | None = None,
    device: str = "auto",
    dtype: str | None = None,
    batch_size: int = 32,
    overwrite: bool = False,
    client: Client | None = None,
    progress: Progress | None = None,
) -> Reference:
    """Make a reference from proteins, their annotations and an ontology.

    Parameters
    ----------
    out
        The folder to make.
    fasta, annotations, ontology
        Proteins; GAF or tables with a header line; OBO.
    model : str
        Key of the model, for instance ``"Prot-T5"``; with `embeddings`, any name.
    layers : sequence of int
        Layers to keep, counted from the output. With `embeddings` in a layout that does not say, exactly one.
    evidence : collection of str, optional
        Evidence codes to keep; by default the experimental ones.
    taxonomy_dump : path, optional
        NCBI's dump: the lineages of the proteins' taxa are kept in the reference, so that a run needs no dump.
    embeddings : path or paths, optional
        Vectors brought along (``.npz``, ``.h5``, ``.zarr``), found by accession. By default they are computed here.
    vectors_key : str, optional
        The array of an npz file to read.
    checkpoint, family, device, batch_size
        As in the configuration; used when vectors are computed here.
    profile : str, optional
        Pooling convention: by default ``"clean"`` for vectors computed here, ``"unknown"`` for those brought along.
    dtype : {"float16", "float32"}, optional
        How vectors are stored; by default as they come.
    overwrite : bool
        Replace a reference that is there.
    client : distributed.Client, optional
        A running cluster that computes the vectors; by default one is started on this machine.
    progress : Progress, optional

    Returns
    -------
    Reference

    Raises
    ------
    InputError
        If a file is wrong; an existing reference is then untouched.
    """
    from ..reference.build import collect
    from ..reference.bundle import check_free, write_reference
    from ..reference.importers.scratch import scratch_beside
    from ..reference.vectors import gather_embeddings

    out = Path(out)
    check_free(out, overwrite)
    progress = progress or Progress()
    tables = collect(fasta, annotations, ontology, evidence=evidence, taxonomy_dump=taxonomy_dump)
    with scratch_beside(out, overwrite) as scratch:
        vectors = scratch / "embeddings.zarr"
        if embeddings is None:
            _compute(
                tables, vectors, model, layers, checkpoint, family, profile, device, dtype, batch_size, client, progress
            )
        else:
            paths = [embeddings] if isinstance(embeddings, str | os.PathLike) else list(embeddings)
            stores = [
                _bring(path, scratch / f"brought{i}.zarr", model, layers, vectors_key, profile, dtype)
                for i, path in enumerate(paths)
            ]
            gather_embeddings(tables, stores, vectors)
        return write_reference(out, tables=tables, embeddings=vectors, overwrite=overwrite, move=True)


def _bring(
    path: str | os.PathLike[str],
    out: Path,
    model: str,
    layers: Sequence[int],
    key: str | None,
    profile: str | None,
    dtype: str | None,
) -> EmbeddingStore:
    """Import vectors that were computed elsewhere."""
    from ..interchange import import_vectors

    if len(layers) != 1:
        raise InputError(f"vectors of {path} are given for layers {list(layers)}: expected one layer at a time.")
    return import_vectors(path, out, model=model, layer=layers[0], profile=profile or "unknown", key=key, dtype=dtype)


def _compute(
    tables: ReferenceTables,
    out: Path,
    model: str,
    layers: Sequence[int],
    checkpoint: str | os.PathLike[str] | None,
    family: str | None,
    profile: str | None,
    device: str,
    dtype: str | None,
    batch_size: int,
    client: Client | None,
    progress: Progress,
) -> None:
    """Embed one protein of every row."""
    from ..cluster import connect
    from ..embed.blocks import embed_proteins
    from ..embed.models import EmbeddingRequest, check_layers, model_spec

    spec = model_spec(model, checkpoint, family)
    check_layers(spec, tuple(layers))
    proteins = tables.representatives
    with connect(client=client) as cluster, progress.stage("embedding", len(proteins), "proteins") as advance:
        status = embed_proteins(
            [p.accession for p in proteins],
            [p.sequence for p in proteins],
            [EmbeddingRequest(spec, tuple(layers), batch_size)],
            out,
            profile=profile or "clean",
            device=device,
            dtype=dtype,
            client=cluster,
            progress=steps(advance),
        )
    failed = status[status["status"] == "failed"]
    for line in failed.itertuples():
        warn(f"reference protein {line.accession} has no vector in {line.model} layer {line.layer}: {line.reason}")
