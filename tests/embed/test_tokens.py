from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fantasia_dask.embed.models import model_spec
from fantasia_dask.embed.pooling import mean_over, pooled_tokens
from fantasia_dask.embed.tokens import Encoder, read_encoder
from fantasia_dask.errors import InputError

ENCODER = Encoder((0,), (2,), np.arange(26) + 4, 1)


@settings(deadline=None)
@given(st.text("ACDEFGHIKLMNPQRSTVWYXUZOB", min_size=1, max_size=200))
def test_encode__equals_the_tokenizer_itself(folders, sequence):
    """The table of ids against transformers' own answer, for the letters it knows."""
    from transformers import EsmcTokenizer, EsmTokenizer

    from fantasia_dask.embed import resident

    for key, tokenizer in (("ESM", EsmTokenizer), ("ESM3c", EsmcTokenizer)):
        loaded = ENCODERS.setdefault(key, resident.load(model_spec(key, folders[key]), "cpu").encoder)
        itself = TOKENIZERS.setdefault(key, tokenizer.from_pretrained(folders[key]))
        assert loaded.encode(sequence).tolist() == itself(sequence)["input_ids"]


ENCODERS: dict = {}
TOKENIZERS: dict = {}


class Fake:
    """A tokenizer in a few lines: what it does wrong is its argument."""

    unk_token_id, pad_token_id = 3, 1

    def __init__(self, ids):
        self.ids = ids

    def __call__(self, text):
        return {"input_ids": self.ids(text)}


def right(text):
    return [0, *(ord(c) for c in text), 2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda text: [0, *(3 for _ in text), 2], "not one token each"),
        (lambda text: [0, *(3 if c == "W" else ord(c) for c in text), 2], "does not know the residues W"),
        (lambda text: [0, *(ord("I") if c == "L" else ord(c) for c in text), 2], "one id to several"),
        (lambda text: right(text.replace("MM", "M")), "52 residues become 51 tokens"),
        (lambda text: right(text.replace("MM", "QM")), "changes with its place"),
        (lambda text: [0, *(3 if c == "X" else ord(c) for c in text), 2], "does not know X"),
    ],
)
def test_read_encoder__refuses(wrong, message):
    with pytest.raises(InputError, match=message):
        read_encoder([lambda: Fake(wrong)], lambda s: s, False, "here")


def test_read_encoder__takes_the_first_that_fits():
    def missing():
        raise OSError("no such file")

    encoder = read_encoder([missing, lambda: Fake(right)], lambda s: s, False, "here")
    assert (encoder.before, encoder.after) == ((0,), (2,))


def test_read_encoder__rare_letters():
    kept = read_encoder([lambda: Fake(right)], lambda s: s, False, "here")
    changed = read_encoder([lambda: Fake(right)], lambda s: s, True, "here")
    assert kept.encode("UZOBA").tolist() == right("UZOBA")
    assert changed.encode("UZOBA").tolist() == right("XXXXA")


@pytest.mark.parametrize(
    ("family", "profile", "expected"),
    [
        ("esm2", "pis-3.1", "0110 1"),
        ("esm2", "clean", "0111 0"),
        ("t5", "pis-3.1", "1111 1"),
        ("t5", "clean", "0111 0"),
        ("esmc", "pis-3.1", "0111 0"),
        ("esmc", "clean", "0111 0"),
    ],
)
def test_pooled_tokens__as_the_design_says(family, profile, expected):
    tokens = pooled_tokens(family, profile, ENCODER, 3)
    assert "".join(map(str, tokens.astype(int))) == expected.replace(" ", "")


def test_mean_over__float16_is_summed_in_float32():
    import torch

    hidden = torch.full((1, 4096, 1), 100.0, dtype=torch.float16)
    assert mean_over(hidden, torch.ones(1, 4096, dtype=torch.bool)).item() == 100.0


def test_mean_over__what_stands_in_a_pad_does_not_matter():
    import torch

    hidden = torch.tensor([[[1.0], [3.0], [float("nan")]]])
    assert mean_over(hidden, torch.tensor([[True, True, False]])).item() == 2.0
