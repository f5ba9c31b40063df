"""ProtT5, ProstT5 and Ankh: load the encoder half and its tokenizer, and find its blocks.

Elnaggar et al. (2022) ProtTrans: toward understanding the language of life through self-supervised learning.
IEEE TPAMI 44.
Heinzinger et al. (2024) Bilingual language model for protein sequence and structure.
NAR Genomics and Bioinformatics 6.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["blocks", "final_input", "load_model", "tokenizers"]


def load_model(folder: Path, dtype: Any) -> Any:
    """Load the encoder, on the CPU.

    ``T5EncoderModel``, because ``AutoModel`` would add a decoder; the dtype is given while loading, because
    transformers then keeps ``wo`` in float32, without which float16 overflows.
    """
    from transformers import T5EncoderModel

    return T5EncoderModel.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)


def tokenizers(folder: Path) -> list[Callable[[], Any]]:
    """Return the ways to load the tokenizer, best first.

    ``T5Tokenizer`` ignores the pre-tokenizer of ``tokenizer.json`` and sets one of its own, which is right for
    ``spiece.model`` and wrong for Ankh, whose residues are not separated by blanks.
    """
    from transformers import PreTrainedTokenizerFast, T5Tokenizer

    def as_written() -> Any:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)

    def as_t5() -> Any:
        return T5Tokenizer.from_pretrained(folder, local_files_only=True)

    if (folder / "tokenizer.json").is_file():
        return [as_written, as_t5]
    return [as_t5]


def blocks(model: Any) -> Any:
    """Return the transformer blocks in order: what enters block i is entry i of the hidden states."""
    return model.encoder.block


def final_input(model: Any, profile: str) -> Any:
    """Return a module whose input is the last entry, or None where the last entry is the model's output."""
    del model, profile
    return None  # both profiles: after the final norm
