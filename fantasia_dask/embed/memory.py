"""What a forward pass needs on the CPU: better refused beforehand than ended by the operating system."""

from __future__ import annotations

from typing import Any

from .resident import Resident

__all__ = ["batch_bytes", "check_memory", "free_bytes"]

FLOAT32 = 4
SHARE = 0.9
"""Part of the free memory that one forward pass may take."""


def batch_bytes(config: Any, family: str, proteins: int, residues: int) -> int:
    """Estimate the peak memory of a forward pass on the CPU, without the weights.

    Parameters
    ----------
    config : transformers configuration
    family : {"esm2", "t5", "esmc"}
    proteins, residues : int
        Size of the batch, and its longest protein.

    Returns
    -------
    int
        Bytes, in float32.
    """
    tokens = residues + 2
    inner = int(getattr(config, "d_ff", 0) or getattr(config, "intermediate_size", 0))
    linear = proteins * tokens * (8 * config.hidden_size + 3 * inner) * FLOAT32
    if family == "t5":
        # The relative position bias is a (heads, tokens, tokens) array, and it is added to the mask of each protein.
        return linear + (2 * proteins + 2) * config.num_attention_heads * tokens**2 * FLOAT32
    return linear + (proteins > 1) * proteins * tokens**2 * 5


def check_memory(loaded: Resident, proteins: int, residues: int) -> None:
    """Raise `MemoryError` if a batch would not fit into the host's memory; a GPU tells by itself, and survives it."""
    if loaded.device != "cpu":
        return
    needed = batch_bytes(loaded.model.config, loaded.spec.family, proteins, residues)
    if needed > SHARE * free_bytes():
        raise MemoryError(f"{proteins} proteins of up to {residues} residues need about {needed / 1e9:.1f} GB")


def free_bytes() -> int:
    """Return the memory that this process may still take: of the host, its container and its Dask worker."""
    import psutil
    from distributed.system import MEMORY_LIMIT

    used = psutil.Process().memory_info().rss
    limits = [psutil.virtual_memory().available, MEMORY_LIMIT - used]
    if limit := _worker_limit():
        limits.append(limit - used)
    return max(0, min(limits))


def _worker_limit() -> int | None:
    """Return the memory limit of the Dask worker that runs this task, if any."""
    from distributed import get_worker

    try:
        return get_worker().memory_manager.memory_limit
    except ValueError:
        return None
