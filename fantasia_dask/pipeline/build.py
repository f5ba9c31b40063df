"""Make a reference: tables from files, vectors computed here or brought along."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config, load_config, make_config, parse_overrides
from ..errors import InputError
from ..progress import Progress
from .job import requests_of, warn
from .vectors import steps

if TYPE_CHECKING:
    from distributed import Client

    from ..reference.build import ReferenceTables
    from ..reference.bundle import Reference
    from ..store import EmbeddingStore

__all__ = ["build_reference"]

GROUPS = ("embedding", "cluster")
"""What of a run's configuration says how vectors are computed."""


def build_reference(
    out: str | os.PathLike[str],
    *,
    fasta: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    ontology: str | os.PathLike[str],
    model: str | None = None,
    layers: Sequence[int] | None = None,
    evidence: Collection[str] | None = None,
    taxonomy_dump: str | os.PathLike[str] | None = None,
    embeddings: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    vectors_key: str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    family: str | None = None,
    profile: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
    config: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    overwrite: bool = False,
    client: Client | None = None,
    progress: Progress | None = None,
) -> Reference:
    """Make a reference from proteins, their annotations and an ontology.

    Vectors are computed as those of a run are: by the same code, on any cluster, with any cache. What is computed is
    kept beside `out` until the reference is whole, so that the same command takes up one that was stopped.

    Parameters
    ----------
    out
        The folder to make.
    fasta, annotations, ontology
        Proteins; GAF, GPAD or tables with a header line; OBO.
    model : str, optional
        Key of the model, for instance ``"Prot-T5"``; with `embeddings`, any name. Needed unless `config` is given.
    layers : sequence of int, optional
        Layers to keep, counted from the output; by default the last. With `embeddings` in a layout that does not say,
        exactly one.
    evidence : collection of str, optional
        Evidence codes to keep; by default the experimental ones.
    taxonomy_dump : path, optional
        NCBI's dump: the lineages of the proteins' taxa are kept in the reference, so that a run needs no dump.
    embeddings : path or paths, optional
        Vectors brought along (``.npz``, ``.h5``, ``.zarr``), found by accession. By default they are computed here, and
        a protein for which that fails is warned of and has none.
    vectors_key : str, optional
        The array of an npz file to read.
    checkpoint, family, device, batch_size : optional
        As in the configuration; used when vectors are computed here.
    profile : str, optional
        Pooling convention: by default ``"clean"`` for vectors computed here, ``"unknown"`` for those brought along.
    dtype : {"float16", "float32"}, optional
        How vectors are stored; by default as they come.
    config : path, optional
        The configuration of a run: its groups ``embedding`` and ``cluster`` say which models and layers are computed,
        how and where, instead of `model`, `layers`, `checkpoint`, `family`, `device`, `batch_size` and `profile`.
    overrides : mapping or sequence of str, optional
        What differs from that configuration, or from its defaults, by dotted key of the same groups:
        ``{"embedding.cache": "vectors"}`` or ``["cluster.workers=4"]``.
    overwrite : bool
        Replace a reference that is there.
    client : distributed.Client, optional
        A running cluster that computes the vectors; by default the one that the settings describe.
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
    from ..reference.bundle import beside, write_reference
    from ..reference.making import making
    from ..reference.vectors import gather_embeddings, warn_of_absent

    out, progress = Path(out), progress or Progress()
    computed = {"checkpoint": checkpoint, "family": family, "device": device, "batch_size": batch_size}
    chosen = {"model": model, "layers": layers, "profile": profile, **computed}
    if embeddings is None:
        settings = _settings(fasta, chosen, config, overrides)
    else:
        settings = None
        _check_brought(model, computed, config, overrides)
    kept = None if settings is None else beside(out, "vectors")
    with making(out, overwrite, progress, until_made=kept) as scratch:
        tables = collect(fasta, annotations, ontology, evidence=evidence, taxonomy_dump=taxonomy_dump)
        vectors = scratch / "embeddings.zarr"
        if settings is not None:
            assert kept is not None
            _compute(tables, vectors, settings, dtype, settings.embedding.cache or kept, client, progress)
        else:
            assert model is not None
            paths = [embeddings] if isinstance(embeddings, str | os.PathLike) else list(embeddings or ())
            stores = [
                _bring(path, scratch / f"brought{i}.zarr", model, layers or (0,), vectors_key, profile, dtype)
                for i, path in enumerate(paths)
            ]
            warn_of_absent(gather_embeddings(tables, stores, vectors))
            tables = replace(tables, sources=(*filter(Path.is_file, map(Path, paths)), *tables.sources))
        return write_reference(out, tables=tables, embeddings=vectors, overwrite=overwrite, move=True)


def _check_brought(
    model: str | None,
    computed: Mapping[str, Any],
    config: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any] | Sequence[str],
) -> None:
    """Refuse what says how vectors are computed, where they are brought along."""
    if model is None:
        raise InputError("the vectors are brought along: expected the model that made them (--model).")
    options = {**computed, "config": config, "set, --scheduler or --scheduler-file": overrides or None}
    given = [name.replace("batch_size", "batch-size") for name, value in options.items() if value is not None]
    if given:
        raise InputError(f"the vectors are brought along, and --{given[0]} says how they are computed: leave it out.")


def _settings(
    fasta: str | os.PathLike[str],
    chosen: Mapping[str, Any],
    config: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any] | Sequence[str],
) -> Config:
    """Return how vectors are computed: as a configuration says, or as the arguments do."""
    changes = dict(overrides) if isinstance(overrides, Mapping) else parse_overrides(overrides)
    for key in changes:
        if key.partition(".")[0] not in GROUPS:
            raise InputError(f"{key} has no effect on a reference: expected a key of {' or '.join(GROUPS)}.")
    changes |= {"input": os.fspath(fasta), "only_embedding": True, "only_lookup": False}
    given = [name for name, value in chosen.items() if value is not None]
    if config is not None:
        if given:
            raise InputError(f"{given[0]} is given, and {config} says it too: leave it out, or change it by --set.")
        return load_config(config, changes)
    if chosen["model"] is None:
        raise InputError("no model is named: expected --model, or --config with the configuration of a run.")
    of_all = {name: chosen[name] for name in ("device", "profile") if chosen[name] is not None}
    homes = {"layers": "layer_index", "checkpoint": "checkpoint", "family": "family", "batch_size": "batch_size"}
    of_model = {home: chosen[name] for name, home in homes.items() if chosen[name] is not None}
    for key in (*of_all, "models", *(f"models.{chosen['model']}.{home}" for home in of_model)):
        if _is_set(f"embedding.{key}", changes):
            raise InputError(f"embedding.{key} is given twice, by --set and by an option of its own: leave one out.")
    embedding = {**of_all, "models": {chosen["model"]: of_model}}
    return make_config({"input": "-", "embedding": embedding}, changes, source="the arguments")


def _is_set(key: str, changes: Mapping[str, Any]) -> bool:
    """Tell whether changes give a key a value, by its own name or within the value of one above it."""
    for changed, value in changes.items():
        within = key.removeprefix(f"{changed}.")
        if key == changed or (within != key and isinstance(value, Mapping) and _is_set(within, value)):
            return True
    return False


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
    config: Config,
    dtype: str | None,
    cache: Path,
    client: Client | None,
    progress: Progress,
) -> None:
    """Embed one protein of every row, with every model and layer of a configuration."""
    from ..cluster import check_files, connect
    from ..embed.blocks import embed_proteins

    settings, requests, proteins = config.embedding, requests_of(config), tables.representatives
    where = {**config.cluster.model_dump(), "folder": out.parent, "tell": progress.line}
    with (
        connect(**where, client=client) as cluster,
        progress.stage("embedding", len(proteins) * len(requests), "proteins") as advance,
    ):
        check_files(cluster, [], out.parent)
        status = embed_proteins(
            [p.accession for p in proteins],
            [p.sequence for p in proteins],
            requests,
            out,
            profile=settings.profile or "clean",
            device=settings.device,
            packet_size=settings.queue_batch_size,
            max_residues=settings.max_sequence_length,
            dtype=dtype,
            cache=cache,
            client=cluster,
            progress=steps(advance),
        )
    cut = status.loc[status["status"] == "truncated", "accession"].nunique()
    if cut:
        warn(
            f"{cut} reference proteins are longer than embedding.max_sequence_length ({settings.max_sequence_length}), "
            "and their vectors are of what was kept: set it to 0 unless the queries are cut alike."
        )
    failed = status[status["status"] == "failed"]
    for line in failed.itertuples():
        warn(f"reference protein {line.accession} has no vector in {line.model} layer {line.layer}: {line.reason}")
