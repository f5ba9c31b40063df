"""ESM-2 (and ESM-1b): load the encoder and its tokenizer, and find its blocks.

Lin et al. (2023) Evolutionary-scale prediction of atomic-level protein structure with a language model. Science 379.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["blocks", "final_input", "load_model", "tokenizers"]


def load_model(folder: Path, dtype: Any) -> Any:
    """Load the encoder, on the CPU; without the pooler, which these checkpoints do not have."""
    from transformers import EsmModel

    return EsmModel.from_pretrained(
        folder, dtype=dtype, add_pooling_layer=False, local_files_only=True, output_loading_info=True
    )


def tokenizers(folder: Path) -> list[Callable[[], Any]]:
    """Return the ways to load the tokenizer, best first."""
    from transformers import EsmTokenizer

    return [lambda: EsmTokenizer.from_pretrained(folder, local_files_only=True)]


def blocks(model: Any) -> Any:
    """Return the transformer blocks in order: what enters block i is entry i of the hidden states."""
    return model.encoder.layer


def final_input(model: Any, profile: str) -> Any:
    """Return a module whose input is the last entry, or None where the last entry is the model's output."""
    del model, profile
    return None  # both profiles: after the final LayerNorm
