"""The vectors of a run: computed, or brought along; and which of them compare with the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..progress import Progress
from ..run_folder import RunFolder
from ..schema import STATUS, Space, names
from .job import Job, warn

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from ..store import EmbeddingStore

__all__ = [
    "comparable_spaces",
    "embed",
    "given_vectors",
    "outline_given",
    "planned_spaces",
    "status_of_given",
    "steps",
]


def given_vectors(job: Job, folder: RunFolder) -> EmbeddingStore:
    """Open the vectors given as input; those in another tool's layout are brought into a store of ours first."""
    from ..interchange import import_vectors

    own = _own_store(job)
    if own is not None:
        return own
    sequences = {protein.accession: protein.sequence for protein in job.proteins}
    store = import_vectors(job.config.input, folder.embeddings("zarr"), **_named(job), sequences=sequences)
    lacking = np.flatnonzero(store.sequences == "")
    if sequences and len(lacking):
        first = f"for instance {store.ids[lacking[0]]!r}"
        if len(lacking) == len(store):
            raise InputError(
                f"sequences {job.config.sequences} has no protein of {job.config.input}, {first}: expected FASTA whose "
                "headers begin with these names."
            )
        warn(f"{len(lacking)} of {len(store)} vectors have no sequence in {job.config.sequences}, {first}.")
    return store


def outline_given(job: Job) -> tuple[int, list[Space]]:
    """Return how many proteins the vectors given as input are of, and in which spaces; nothing is written."""
    from ..interchange import outline

    own = _own_store(job)
    return outline(job.config.input, **_named(job)) if own is None else (len(own), list(own.spaces))


def _own_store(job: Job) -> EmbeddingStore | None:
    """Open a store of ours; None for another tool's layout, and where sequences are to be joined with it."""
    from ..interchange import recognise
    from ..store import open_store

    if recognise(job.config.input) != "store":
        return None
    if job.config.vectors_key is not None:
        raise InputError(
            f"vectors_key is set, and input {job.config.input} is a store of fantasia-dask, which names its vectors by "
            "model and layer: leave it out."
        )
    return None if job.proteins else open_store(job.config.input)


def _named(job: Job) -> dict[str, Any]:
    """Name the space of vectors in another tool's layout, and the array that they are in.

    FANTASIA's files name their models; in the others the vectors are those of the one space that is asked for.
    """
    from ..interchange import recognise

    one = recognise(job.config.input) != "fantasia-hdf5" and len(job.wanted) == 1
    model, layer = job.wanted[0] if one else (None, None)
    return {"model": model, "layer": layer, "profile": job.profile or "unknown", "key": job.config.vectors_key}


def embed(job: Job, folder: RunFolder, client: Client, progress: Progress) -> tuple[EmbeddingStore, pd.DataFrame]:
    """Compute the vectors of all proteins."""
    from ..embed.blocks import embed_proteins
    from ..store import open_store

    settings = job.config.embedding
    out = folder.embeddings(settings.format)
    assert job.requests is not None
    assert job.profile is not None
    with progress.stage("embedding", len(job.proteins) * len(job.requests), "proteins") as advance:
        status = embed_proteins(
            [p.accession for p in job.proteins],
            [p.sequence for p in job.proteins],
            job.requests,
            out,
            profile=job.profile,
            device=settings.device,
            packet_size=settings.queue_batch_size,
            max_residues=settings.max_sequence_length,
            cache=settings.cache,
            client=client,
            progress=steps(advance),
        )
    problems = {p.accession: p.problem for p in job.proteins if p.problem}
    if problems:
        reason = status["accession"].map(problems)
        status["reason"] = reason.where(reason.notna(), status["reason"])
    return open_store(out), status


def steps(advance: Callable[[int], None]) -> Callable[..., None]:
    """Turn "so many done of so many" into steps."""
    last = 0

    def told(done: int, total: int, description: str = "") -> None:
        nonlocal last
        advance(done - last)
        last = done

    return told


def planned_spaces(job: Job) -> list[Space]:
    """Return the spaces that the models of a run will fill."""
    assert job.profile is not None
    return [
        Space(r.model.key, layer, r.model.dimension, job.profile, r.model.name, r.model.revision)
        for r in job.requests or ()
        for layer in r.layers
    ]


def comparable_spaces(job: Job, held: Sequence[Space]) -> list[Space]:
    """Return the spaces in which queries and reference can be compared, before anything is computed.

    Parameters
    ----------
    job
    held
        The spaces that the queries have, or will have.

    Raises
    ------
    InputError
        If vectors of one model and layer were not made alike.
    """
    by_name = {(space.model, space.layer): space for space in held}
    spaces = []
    for model, layer in job.wanted:
        space = by_name.get((model, layer))
        if space is None:
            warn(f"{job.config.input} has no vectors of {model} layer {layer}: it is left out.")
        elif job.reference is None:
            spaces.append(space)
        elif not job.reference.store.has(model, layer):
            there = ", ".join(map(str, job.reference.spaces))
            warn(
                f"reference {job.reference.path} has no vectors of {space}: no donor is found there. It holds {there}."
            )
        else:
            _check_comparable(space, job.reference.store.space(model, layer), job.reference.path)
            spaces.append(space)
    return spaces


def _check_comparable(query: Space, donor: Space, path: Path) -> None:
    """Refuse vectors that were not made alike: their distances would mean nothing."""
    if query.dimension != donor.dimension:
        raise InputError(
            f"queries have {query.dimension} dimensions in {query}, reference {path} has {donor.dimension}: "
            "expected vectors of one model. Compute the queries with the model of the reference."
        )
    if query.profile != donor.profile and "unknown" not in (query.profile, donor.profile):
        raise InputError(
            f"queries were pooled with profile {query.profile} in {query}, reference {path} with {donor.profile}: "
            f"their vectors do not compare. Set embedding.profile: {donor.profile} and embed again."
        )
    if query.revision and donor.revision and query.revision != donor.revision:
        warn(
            f"queries and reference were made by different checkpoints of {query} ({query.checkpoint} at "
            f"{query.revision}, {donor.checkpoint} at {donor.revision}): distances mean little unless they are equal."
        )


def status_of_given(job: Job, store: EmbeddingStore) -> pd.DataFrame:
    """Account for vectors that were not computed here, in every space asked for: columns of `schema.STATUS`."""
    import pandas as pd

    frames = []
    for model, layer in job.wanted:
        present = store.present(model, layer) if store.has(model, layer) else np.zeros(len(store), bool)
        columns = (
            store.ids,
            model,
            layer,
            np.where(present, "embedded", "failed"),
            np.where(present, store.lengths, 0),
            np.where(present, "", f"{Path(job.config.input).name} has no vector of it"),
        )
        frames.append(pd.DataFrame(dict(zip(names(STATUS), columns, strict=True))))
    return pd.concat(frames, ignore_index=True)
