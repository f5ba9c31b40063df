"""ESM-C: load the encoder and its tokenizer, and find its blocks.

ESM Team (2024) ESM Cambrian: revealing the mysteries of proteins with unsupervised learning. EvolutionaryScale.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["blocks", "final_input", "load_model", "tokenizers"]


def load_model(folder: Path, dtype: Any) -> Any:
    """Load the encoder, on the CPU, with transformers' own class (no code of the checkpoint runs)."""
    from transformers import EsmcModel

    return EsmcModel.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)


def tokenizers(folder: Path) -> list[Callable[[], Any]]:
    """Return the ways to load the tokenizer, best first; its vocabulary is fixed in transformers itself."""
    from transformers import EsmcTokenizer

    if any(folder.glob("tokenizer*")):
        return [lambda: EsmcTokenizer.from_pretrained(folder, local_files_only=True)]
    return [EsmcTokenizer]


def blocks(model: Any) -> Any:
    """Return the transformer blocks in order: what enters block i is entry i of the hidden states."""
    return model.layers


def final_input(model: Any, profile: str) -> Any:
    """Return a module whose input is the last entry, or None where the last entry is the model's output.

    ``pis-3.1`` takes the last block before the final LayerNorm, ``clean`` takes it after, as every other model.
    """
    return model.norm if profile == "pis-3.1" else None
