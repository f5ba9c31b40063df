"""Proteins to a store of vectors: packets as tasks, committed one by one, so that a killed run goes on.

Distinct sequences are taken in windows of `CHUNK_ROWS`, sorted by length inside a window and cut into packets. Which
packets there are depends on the input alone, not on what an earlier run left, so that a run that was killed and
started again computes the very batches of an undisturbed one, to the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, did_you_mean
from ..store import STORED_DTYPES, remove
from .assemble import Inputs, is_complete, open_previous, status_table, write_store
from .checkpoints import fetch_checkpoint
from .models import PROFILES, EmbeddingRequest, ModelSpec, check_layers
from .packets import ModelRun
from .schedule import Progress, resolve_device

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EmbeddingRequest", "embed_proteins"]


def embed_proteins(
    ids: Sequence[str],
    sequences: Sequence[str],
    requests: Sequence[EmbeddingRequest],
    out: str | os.PathLike[str],
    *,
    profile: str,
    device: str = "auto",
    packet_size: int = 256,
    max_residues: int = 0,
    dtype: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    client: Any = None,
    progress: Callable[[int, int, str], None] | None = None,
    cpu_fallback: bool = True,
) -> pd.DataFrame:
    """Compute the vectors of all proteins, for every model and layer asked for, and write them as one store.

    Every distinct sequence is computed once; vectors that an earlier run committed, in `cache` or in a store at `out`,
    are taken over. Killed at any moment and called again, it computes what is missing and writes the same store.

    Parameters
    ----------
    ids, sequences : sequence of str, length n
        One per protein; sequences in upper-case letters, as `read_fasta` gives them.
    requests : sequence of EmbeddingRequest
        Models, in the order of their computation, each with its layers and batch size.
    out
        The store: ``.zarr``, or ``.h5`` for HDF5.
    profile : {"pis-3.1", "clean"}
        Which tokens a vector is the mean of.
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where there is one.
    packet_size : int
        Proteins of one task.
    max_residues : int
        Longer sequences are cut to their first `max_residues` residues; 0 cuts none, and a protein that is longer than
        the model can take fails by name.
    dtype : {"float16", "float32"}, optional
        How vectors are stored; by default float16 for T5 models computed on a GPU, else float32.
    cache : optional
        A folder of committed vectors, which several runs may share; on a cluster the workers must reach it too. By
        default a folder beside `out`, removed when the store is complete.
    client : distributed.Client, optional
        Runs the packets; without one they are computed here, one after the other.
    progress : callable, optional
        Called with proteins done, proteins in all (over all models) and what is being done.
    cpu_fallback : bool
        Whether a protein for which a GPU has not enough memory is tried on the CPU.

    Returns
    -------
    pandas.DataFrame
        Columns as in `schema.STATUS`: one line per protein, model and layer.

    Raises
    ------
    InputError
        If a model cannot be loaded, a layer does not exist, or an argument makes no sense.
    """
    out = Path(out).absolute()
    if len(ids) != len(sequences):
        raise ValueError(f"{len(ids)} ids and {len(sequences)} sequences")
    _check(requests, profile, packet_size, max_residues, dtype)
    device = resolve_device(device, client)
    inputs = Inputs(ids, sequences, max_residues)
    previous = open_previous(out)
    folder = Path(cache).absolute() if cache is not None else out.with_name(out.name + ".parts")
    runs = [
        ModelRun(
            replace(request, model=_pinned(request.model)),
            inputs,
            profile=profile,
            device=device,
            dtype=dtype,
            cache=folder,
            previous=previous,
            cpu_fallback=cpu_fallback,
        )
        for request in requests
    ]
    report = Progress(progress, sum(len(run.texts) for run in runs))
    for run in runs:
        run.run(packet_size, client, report)
    layers = [layer for run in runs for layer in run.layers]
    if not is_complete(previous, inputs, layers):
        write_store(out, inputs, layers)
    if cache is None:
        remove(folder)
    return status_table(inputs, layers)


def _check(
    requests: Sequence[EmbeddingRequest], profile: str, packet_size: int, max_residues: int, dtype: str | None
) -> None:
    """Refuse arguments that make no sense, before anything is computed."""
    if profile not in PROFILES:
        raise InputError(
            f"unknown profile {profile!r}.{did_you_mean(profile, PROFILES)} Expected {' or '.join(PROFILES)}."
        )
    if dtype is not None and dtype not in STORED_DTYPES:
        raise InputError(f"vectors cannot be stored as {dtype!r}: expected {' or '.join(STORED_DTYPES)}.")
    for name, value, least in (("packet_size", packet_size, 1), ("max_residues", max_residues, 0)):
        if value < least:
            raise InputError(f"{name} is {value}: expected at least {least}.")
    keys = [request.model.key for request in requests]
    for request in requests:
        check_layers(request.model, tuple(request.layers))
        if keys.count(request.model.key) > 1:
            raise InputError(f"model {request.model.key} is asked for twice: name all its layers in one request.")
        if request.batch_size < 1:
            raise InputError(f"batch_size of {request.model.key} is {request.batch_size}: expected at least 1.")


def _pinned(model: ModelSpec) -> ModelSpec:
    """Give a model without a pinned revision the commit that is in the cache, so that vectors can be traced to it."""
    if model.local or model.revision != "main":
        return model
    return replace(model, revision=fetch_checkpoint(model).name)
