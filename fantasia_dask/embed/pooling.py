"""Hidden states to one vector per protein: which tokens the mean runs over.

===========  ===================================================  ========
family       ``pis-3.1``: mean over                               ``clean``
===========  ===================================================  ========
esm2         residues 1 .. L-1 and ``<eos>``                      residues
t5           prefix, residues and ``</s>``: every token           residues
esmc         residues                                             residues
===========  ===================================================  ========

``pis-3.1`` reproduces the vectors that FANTASIA publishes, made by protein-information-system 3.1, whose mask for ESM-2
drops the last residue where it meant to drop ``<eos>``. ``clean`` is what the authors of the models advise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from .tokens import Encoder

__all__ = ["mean_over", "pooled_tokens"]


def pooled_tokens(family: str, profile: str, encoder: Encoder, length: int) -> np.ndarray:
    """Tell which tokens of a protein the mean runs over.

    Parameters
    ----------
    family : {"esm2", "t5", "esmc"}
    profile : {"pis-3.1", "clean"}
    encoder : Encoder
        Knows how many tokens stand before and after the residues.
    length : int
        L, residues.

    Returns
    -------
    bool array, shape (tokens,)
    """
    start = len(encoder.before)
    tokens = np.zeros(start + length + len(encoder.after), bool)
    tokens[start : start + length] = True
    if profile == "pis-3.1" and family == "esm2":
        tokens[start + length - 1] = False
        tokens[start + length] = True
    elif profile == "pis-3.1" and family == "t5":
        tokens[:] = True
    return tokens


def mean_over(hidden: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """Average hidden states over the chosen tokens.

    Parameters
    ----------
    hidden : tensor, shape (b, tokens, d)
        Any floating dtype; sums and counts are float32.
    pooled : bool tensor, shape (b, tokens)

    Returns
    -------
    tensor, shape (b, d), float32
    """
    chosen = pooled.unsqueeze(-1)
    # Not a product with 0 and 1: what stands in a pad must not matter even if it is NaN.
    return hidden.float().masked_fill(~chosen, 0.0).sum(dim=1) / chosen.sum(dim=1)
