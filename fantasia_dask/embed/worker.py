"""One packet of proteins on one worker: batches, the ladder down when memory runs out, and one file of vectors.

The ladder: the whole batch, its halves, one protein at a time, the CPU, and at last a failure that bears the
protein's name. No protein takes another with it.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..store import sequence_digest
from . import resident
from .cache import write_part
from .memory import check_memory
from .models import ModelSpec

if TYPE_CHECKING:
    import torch

__all__ = ["Packet", "PacketResult", "cut_batches", "descend", "embed_packet", "embed_sequences", "release_model"]

# Residues of one forward pass, padding included: beyond this a larger batch costs memory, and on a CPU time as well
# (`benchmarks/embed.py`): a few hundred residues fill the cores, and a protein without pads needs no mask.
BATCH_RESIDUES = {"cpu": 1_024, "cuda": 65_536}

# A GPU or a set of cores serves one packet at a time, whatever the number of threads of the Dask worker.
_one_at_a_time = threading.RLock()


@dataclass(frozen=True)
class Packet:
    """What one task computes: distinct sequences and what is asked of them; never a model."""

    model: ModelSpec
    layers: tuple[int, ...]
    profile: str
    batch_size: int
    device: str
    sequences: tuple[str, ...]
    folder: str
    cpu_fallback: bool = True
    driver: int = 0
    processes: int = 1


@dataclass(frozen=True)
class PacketResult:
    """What a task returns: the path of its file, if any protein got through, and why others did not."""

    path: str | None
    failures: dict[str, str]


def embed_packet(packet: Packet) -> PacketResult:
    """Embed the proteins of a packet and commit their vectors as one file.

    May run twice: the second run writes the same file again.
    """
    with _one_at_a_time:
        _set_threads(packet)
        vectors, failures = embed_sequences(packet)
    digests = [sequence_digest(sequence) for sequence in packet.sequences]
    good = [row for row in range(len(digests)) if row not in failures]
    path = None
    if good:
        path = write_part(packet.folder, [digests[row] for row in good], packet.layers, vectors[good])
    return PacketResult(
        os.fspath(path) if path else None, {digests[row]: reason for row, reason in sorted(failures.items())}
    )


def release_model() -> None:
    """Let go of the model of this process, once the packet at work is done."""
    with _one_at_a_time:
        resident.release()


def _set_threads(packet: Packet) -> None:
    """Share the cores of the host among its worker processes; the user's own process is left as it is."""
    if os.getpid() == packet.driver or packet.device != "cpu":
        return
    import torch
    from dask.system import CPU_COUNT

    # A Nanny sets OMP_NUM_THREADS=1, which would leave all but one core of each worker idle.
    torch.set_num_threads(max(1, CPU_COUNT // packet.processes))


def embed_sequences(packet: Packet) -> tuple[np.ndarray, dict[int, str]]:
    """Compute the vectors of a packet.

    Returns
    -------
    vectors : array, shape (m, layers, d), float32
        In the order of `packet.sequences`; NaN where a protein failed.
    failures : dict of int to str
        Row of each failed protein, and why.
    """
    shape = (len(packet.sequences), len(packet.layers), packet.model.dimension)
    vectors = np.full(shape, np.nan, np.float32)
    failures: dict[int, str] = {}
    beyond: list[int] = []
    lengths = [len(sequence) for sequence in packet.sequences]
    done: list[tuple[list[int], torch.Tensor]] = []
    for batch in cut_batches(lengths, packet.batch_size, BATCH_RESIDUES[packet.device.partition(":")[0]]):
        done += descend(batch, _runner(packet, packet.device), beyond)
    _collect(vectors, done)
    if beyond:
        _embed_on_cpu(packet, beyond, vectors, failures)
    for row in np.flatnonzero(~np.isfinite(vectors).all(axis=(1, 2))):
        failures.setdefault(int(row), "the model gave values that are not finite")
    return vectors, failures


def cut_batches(lengths: Sequence[int], batch_size: int, residues: int) -> list[list[int]]:
    """Cut rows into batches of similar length.

    Parameters
    ----------
    lengths : sequence of int
        Residues of each protein.
    batch_size : int
        Proteins of one batch, at the most.
    residues : int
        Residues of one batch, padding included, at the most; a longer protein is alone in its batch.

    Returns
    -------
    list of list of int
        Rows of each batch, the shortest proteins first; every row once.

    Examples
    --------
    >>> cut_batches([50, 10, 10, 20], batch_size=3, residues=60)
    [[1, 2, 3], [0]]
    """
    batches: list[list[int]] = []
    for row in np.argsort(np.asarray(lengths), kind="stable").tolist():
        last = batches[-1] if batches else None
        # Sorted by length, so that this protein is the longest and sets the padding.
        if last is not None and len(last) < batch_size and (len(last) + 1) * lengths[row] <= residues:
            last.append(row)
        else:
            batches.append([row])
    return batches


def descend(
    batch: list[int], run: Callable[[list[int]], torch.Tensor], beyond: list[int]
) -> list[tuple[list[int], torch.Tensor]]:
    """Run a batch; when memory runs out, its halves, and theirs, down to single proteins.

    Parameters
    ----------
    batch : list of int
        Rows.
    run : callable
        Computes the vectors of some rows, or runs out of memory.
    beyond : list of int
        Receives the rows that do not fit even alone.

    Returns
    -------
    list of (rows, vectors)
    """
    try:
        return [(batch, run(batch))]
    except (MemoryError, RuntimeError) as error:
        if not resident.is_out_of_memory(error):
            raise
    # Outside of the handler, whose traceback would keep the tensors of the failed attempt alive.
    _free_memory()
    if len(batch) == 1:
        beyond += batch
        return []
    middle = len(batch) // 2
    return descend(batch[:middle], run, beyond) + descend(batch[middle:], run, beyond)


def _runner(packet: Packet, device: str) -> Callable[[list[int]], torch.Tensor]:
    def run(rows: list[int]) -> torch.Tensor:
        sequences = [packet.sequences[row] for row in rows]
        loaded = resident.resident(packet.model, device)
        check_memory(loaded, len(rows), max(len(sequence) for sequence in sequences))
        return resident.embed_batch(loaded, sequences, packet.layers, packet.profile)

    return run


def _embed_on_cpu(packet: Packet, rows: list[int], vectors: np.ndarray, failures: dict[int, str]) -> None:
    """Take the last rung: one protein at a time on the CPU, if that is another device and allowed."""
    beyond = list(rows)
    if packet.device != "cpu" and packet.cpu_fallback:
        beyond = []
        for row in sorted(rows):
            _collect(vectors, descend([row], _runner(packet, "cpu"), beyond))
        resident.release()
    for row in beyond:
        length = len(packet.sequences[row])
        failures[row] = f"out of memory: {length} residues do not fit, even alone; set a max_sequence_length"


def _collect(vectors: np.ndarray, done: list[tuple[list[int], torch.Tensor]]) -> None:
    """Bring the vectors of a packet to the host, in one copy."""
    import torch

    if done:
        rows = [row for batch, _ in done for row in batch]
        vectors[rows] = torch.cat([tensor for _, tensor in done]).cpu().numpy()


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
