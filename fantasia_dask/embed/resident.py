"""The model that lives in this process: at most one at a time, released before the next is loaded."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from . import esm2, esmc, t5
from .checkpoints import checkpoint_folder
from .models import ModelSpec
from .pooling import mean_over, pooled_tokens
from .tokens import Encoder, read_encoder

if TYPE_CHECKING:
    import torch

__all__ = ["Resident", "compute_dtype", "embed_batch", "load", "release", "resident"]

FAMILY_MODULES: dict[str, ModuleType] = {"esm2": esm2, "t5": t5, "esmc": esmc}

# Weights that a checkpoint may lack: nothing that shapes a hidden state.
UNUSED = ("contact_head", "pooler", "position_ids", "inv_freq", "lm_head")


@dataclass(frozen=True)
class Resident:
    """A loaded model with its encoder: what one forward pass needs."""

    spec: ModelSpec
    device: str
    model: Any
    encoder: Encoder


_here: Resident | None = None


def compute_dtype(spec: ModelSpec, device: str) -> str:
    """Return the floating type of the forward pass: half precision for T5 on a GPU, float32 everywhere else."""
    return "float16" if spec.family == "t5" and device.startswith("cuda") else "float32"


def resident(spec: ModelSpec, device: str) -> Resident:
    """Return the model on the device, loading it if it is not the one that lives here."""
    global _here
    if _here is None or (_here.spec, _here.device) != (spec, device):
        release()
        _here = load(spec, device)
    return _here


def release() -> None:
    """Let go of the model that lives in this process."""
    global _here
    if _here is None:
        return
    import torch

    on_gpu = _here.device.startswith("cuda")
    _here = None
    gc.collect()
    if on_gpu:
        torch.cuda.empty_cache()


def load(spec: ModelSpec, device: str) -> Resident:
    """Load a model and its tokenizer from disk.

    Raises
    ------
    InputError
        If the weights are missing, damaged or incomplete, or if the tokenizer does not fit.
    """
    folder = checkpoint_folder(spec)
    _silence_transformers()
    encoder = read_encoder(
        FAMILY_MODULES[spec.family].tokenizers(folder),
        lambda sequence: _text(spec, sequence),
        spec.rare_to_x,
        str(folder),
    )
    model = _load_weights(spec, folder, device)
    return Resident(spec, device, model, encoder)


def _text(spec: ModelSpec, sequence: str) -> str:
    """Write a sequence the way the model's tokenizer expects it."""
    return spec.prefix + (" ".join(sequence) if spec.spaced else sequence)


def _load_weights(spec: ModelSpec, folder: Path, device: str) -> Any:
    from pickle import UnpicklingError

    import torch
    from safetensors import SafetensorError

    dtype = getattr(torch, compute_dtype(spec, device))
    try:
        model, report = FAMILY_MODULES[spec.family].load_model(folder, dtype)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"the weights of {spec.key} in {folder} cannot be loaded ({reason}): fetch them again."
        ) from error
    missing = sorted(key for key in report["missing_keys"] if not any(part in key for part in UNUSED))
    if missing:
        # transformers would fill them with random numbers, and say so only in its log.
        raise InputError(
            f"the checkpoint of {spec.key} in {folder} lacks {len(missing)} of the model's weights "
            f"(the first is {missing[0]}): fetch it again, or check that it is of family {spec.family}."
        )
    return model.eval().to(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out, on the GPU or on the host."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _silence_transformers() -> None:
    """Keep progress bars and notices of transformers out of our log; what matters we raise ourselves."""
    from transformers import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def embed_batch(loaded: Resident, sequences: Sequence[str], layers: Sequence[int], profile: str) -> torch.Tensor:
    """Compute the vectors of a few proteins, all layers from one forward pass.

    A layer is pooled as soon as it is computed, so that the hidden states of all layers never exist at once.

    Parameters
    ----------
    loaded : Resident
    sequences : sequence of str, length b
        Upper-case letters, none empty.
    layers : sequence of int
        Counted from the output, 0 = last.
    profile : {"pis-3.1", "clean"}

    Returns
    -------
    tensor, shape (b, len(layers), d), float32
        On the model's device.
    """
    import torch

    ids, mask, pooled = (_to_device(array, loaded.device) for array in _padded(loaded, sequences, profile))
    vectors: dict[int, torch.Tensor] = {}
    with ExitStack() as hooks, torch.inference_mode():
        for layer in layers:
            if module := _module_before(loaded, layer, profile):
                hook = _Pool(layer, pooled, vectors)
                hooks.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        output = loaded.model(input_ids=ids, attention_mask=mask)
        if 0 in layers and 0 not in vectors:
            vectors[0] = mean_over(output.last_hidden_state, pooled)
        return torch.stack([vectors[layer] for layer in layers], dim=1)


def _module_before(loaded: Resident, layer: int, profile: str) -> Any:
    """Return the module whose input is this layer, or None for the model's own output."""
    family = FAMILY_MODULES[loaded.spec.family]
    if layer == 0:
        return family.final_input(loaded.model, profile)
    blocks = family.blocks(loaded.model)
    return blocks[len(blocks) - layer]


class _Pool:
    """A hook that pools what enters a module."""

    def __init__(self, layer: int, pooled: torch.Tensor, vectors: dict[int, torch.Tensor]):
        self.layer, self.pooled, self.vectors = layer, pooled, vectors

    def __call__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        self.vectors[self.layer] = mean_over(hidden, self.pooled)


def _padded(loaded: Resident, sequences: Sequence[str], profile: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return token ids, attention mask and pooling mask of a batch, each of shape (b, longest)."""
    encoder = loaded.encoder
    rows = [encoder.encode(sequence) for sequence in sequences]
    shape = (len(rows), max(len(row) for row in rows))
    ids, mask, pooled = np.full(shape, encoder.pad, np.int64), np.zeros(shape, np.int64), np.zeros(shape, bool)
    for i, (row, sequence) in enumerate(zip(rows, sequences, strict=True)):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
        pooled[i, : len(row)] = pooled_tokens(loaded.spec.family, profile, encoder, len(sequence))
    return ids, mask, pooled


def _to_device(array: np.ndarray, device: str) -> torch.Tensor:
    """Copy to the device; from pinned memory to a GPU, so that the copy does not hold up the host."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else tensor
