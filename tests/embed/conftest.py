"""Tiny random checkpoints of every architecture, saved by the real classes and loaded by the real code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

ESM_VOCAB = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
T5_LETTERS = "ALGVSREDTIPKFQNYMHWCXBOUZ"


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    from transformers import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


@pytest.fixture(scope="session")
def esm2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import EsmConfig, EsmModel, EsmTokenizer

    folder = tmp_path_factory.mktemp("esm2")
    (folder / "vocab.txt").write_text("\n".join(ESM_VOCAB))
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(1)
    config = EsmConfig(
        vocab_size=len(ESM_VOCAB),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        position_embedding_type="rotary",
        pad_token_id=1,
        mask_token_id=32,
        token_dropout=True,
        emb_layer_norm_before=False,
    )
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def smallest_esm_folder(tmp_path_factory: pytest.TempPathFactory, esm2_folder: Path) -> Path:
    """An ESM-2 of one block, one head and eight dimensions: whole proteomes and giants in seconds."""
    import torch
    from transformers import EsmConfig, EsmModel, EsmTokenizer

    folder = tmp_path_factory.mktemp("smallest")
    EsmTokenizer.from_pretrained(esm2_folder).save_pretrained(folder)
    torch.manual_seed(6)
    config = EsmConfig.from_pretrained(
        esm2_folder, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16
    )
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def esm1b_folder(tmp_path_factory: pytest.TempPathFactory, esm2_folder: Path) -> Path:
    """A model with learned positions: 50 of them, so 46 residues at the most."""
    import torch
    from transformers import EsmConfig, EsmModel, EsmTokenizer

    folder = tmp_path_factory.mktemp("esm1b")
    EsmTokenizer.from_pretrained(esm2_folder).save_pretrained(folder)
    torch.manual_seed(2)
    config = EsmConfig(
        vocab_size=len(ESM_VOCAB),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        position_embedding_type="absolute",
        max_position_embeddings=50,
        pad_token_id=1,
        mask_token_id=32,
    )
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def _t5_model(folder: Path, vocabulary: int, seed: int) -> None:
    import torch
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=vocabulary,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=3,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    T5EncoderModel(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import T5Tokenizer

    folder = tmp_path_factory.mktemp("t5")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -10.0)]
    pieces += [(f"▁{letter}", -1.0 - i / 100) for i, letter in enumerate(T5_LETTERS)]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0)
    tokenizer.add_tokens(["<AA2fold>", "<fold2AA>"])
    tokenizer.save_pretrained(folder)
    _t5_model(folder, len(tokenizer), 3)
    return folder


@pytest.fixture(scope="session")
def ankh_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary of bare letters, with a `[NLU]` token and no blanks, as Ankh has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("ankh")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(letter, -1.0) for letter in T5_LETTERS]
    inner = Tokenizer(models.Unigram(pieces, unk_id=2))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["[NLU]", "[S2S]"]})
    tokenizer.save_pretrained(folder)
    _t5_model(folder, len(tokenizer), 4)
    return folder


@pytest.fixture(scope="session")
def esmc_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import EsmcConfig, EsmcModel, EsmcTokenizer

    folder = tmp_path_factory.mktemp("esmc")
    EsmcTokenizer().save_pretrained(folder)
    torch.manual_seed(5)
    config = EsmcConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4)
    model = EsmcModel(config)
    with torch.no_grad():  # so that "before" and "after" the final norm differ by more than a scale
        model.norm.weight.uniform_(0.5, 2.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folders(esm2_folder: Path, t5_folder: Path, ankh_folder: Path, esmc_folder: Path) -> dict[str, Path]:
    """The checkpoint that stands in for each of FANTASIA's five models."""
    return {
        "ESM": esm2_folder,
        "Prot-T5": t5_folder,
        "Prost-T5": t5_folder,
        "Ankh3-Large": ankh_folder,
        "ESM3c": esmc_folder,
    }


@pytest.fixture
def proteins() -> list[str]:
    """Sixteen random sequences of 1 to 300 residues."""
    rng = np.random.default_rng(7)
    lengths = [1, 2, 3, 300, 17, 50, 5, 120, 64, 33, 250, 8, 90, 21, 1, 140]
    return ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in lengths]


@pytest.fixture
def broken_copy(tmp_path: Path):
    """Copy a checkpoint, to be damaged."""
    import shutil

    def copy(folder: Path) -> Path:
        target = tmp_path / "broken"
        shutil.copytree(folder, target)
        assert json.loads((target / "config.json").read_text())
        return target

    return copy
