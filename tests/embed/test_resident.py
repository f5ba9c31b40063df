"""Loading: tokenizers that do not fit, weights that are damaged, incomplete or pickled."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fantasia_dask.embed import resident
from fantasia_dask.embed.models import model_spec
from fantasia_dask.errors import InputError


def test_load__t5_without_tokenizer(t5_folder, broken_copy):
    copy = broken_copy(t5_folder)
    for file in copy.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(InputError, match=r"tokenizer in .* is wrong or missing"):
        resident.load(model_spec("Prot-T5", copy), "cpu")


def test_load__tokenizer_of_another_model(t5_folder, ankh_folder, broken_copy):
    copy = broken_copy(t5_folder)
    for file in copy.glob("tokenizer*"):
        file.write_bytes((ankh_folder / file.name).read_bytes())
    with pytest.raises(InputError, match=r"tokenizer in .* is wrong or missing"):
        resident.load(model_spec("Prot-T5", copy), "cpu")


def test_load__prefix_unknown_to_the_tokenizer(ankh_folder):
    """Ankh's vocabulary has no <AA2fold>: ProstT5's prefix would be several tokens, or <unk>."""
    with pytest.raises(InputError, match=r"tokenizer in .* is wrong or missing"):
        resident.load(model_spec("Prost-T5", ankh_folder), "cpu")


def test_load__esm_vocabulary_lacks_a_residue(esm2_folder, broken_copy):
    copy = broken_copy(esm2_folder)
    for file in copy.glob("tokenizer.json"):
        file.unlink()
    vocabulary = (copy / "vocab.txt").read_text().split("\n")
    (copy / "vocab.txt").write_text("\n".join("<null_0>" if word == "W" else word for word in vocabulary))
    with pytest.raises(InputError, match="does not know the residues W"):
        resident.load(model_spec("ESM", copy), "cpu")


def test_load__pickled_weights_equal_safetensors(esm2_folder, broken_copy):
    import torch
    from safetensors.torch import load_file

    copy = broken_copy(esm2_folder)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    sequences, layers = ["MKTAYIAK", "GG"], (0, 1)
    one = resident.embed_batch(resident.load(model_spec("ESM", esm2_folder), "cpu"), sequences, layers, "clean")
    other = resident.embed_batch(resident.load(model_spec("ESM", copy), "cpu"), sequences, layers, "clean")
    np.testing.assert_array_equal(one.numpy(), other.numpy())


class Evil:
    def __reduce__(self):
        import os

        return os.mkdir, ("evil-was-here",)


def test_load__pickled_code_never_runs(esm2_folder, broken_copy, monkeypatch, tmp_path):
    copy = broken_copy(esm2_folder)
    (copy / "model.safetensors").unlink()
    with (copy / "pytorch_model.bin").open("wb") as stream:
        pickle.dump({"embeddings.word_embeddings.weight": Evil()}, stream, protocol=2)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot be loaded"):
        resident.load(model_spec("ESM", copy), "cpu")
    assert not (tmp_path / "evil-was-here").exists()


def test_load__weights_cut_short(esm2_folder, broken_copy):
    copy = broken_copy(esm2_folder)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(InputError, match="cannot be loaded"):
        resident.load(model_spec("ESM", copy), "cpu")


def test_load__weights_incomplete(esm2_folder, broken_copy):
    from safetensors.torch import load_file, save_file

    copy = broken_copy(esm2_folder)
    tensors = load_file(copy / "model.safetensors")
    lacking = {key: value for key, value in tensors.items() if "layer.2.output" not in key}
    assert len(lacking) < len(tensors)
    save_file(lacking, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks .* of the model's weights"):
        resident.load(model_spec("ESM", copy), "cpu")


def test_load__checkpoint_with_a_head(esm2_folder, broken_copy):
    """The published ESM-2 checkpoints are of EsmForMaskedLM, those of T5 of the whole model."""
    from transformers import EsmConfig, EsmForMaskedLM

    copy = broken_copy(esm2_folder)
    EsmForMaskedLM(EsmConfig.from_pretrained(copy)).save_pretrained(copy)
    loaded = resident.load(model_spec("ESM", copy), "cpu")
    assert resident.embed_batch(loaded, ["MKT"], (0, 3), "clean").shape == (1, 2, 32)


def test_load__t5_with_its_decoder(t5_folder, broken_copy):
    from transformers import T5Config, T5ForConditionalGeneration

    copy = broken_copy(t5_folder)
    T5ForConditionalGeneration(T5Config.from_pretrained(copy)).save_pretrained(copy)
    loaded = resident.load(model_spec("Prot-T5", copy), "cpu")
    assert type(loaded.model).__name__ == "T5EncoderModel"
    assert resident.embed_batch(loaded, ["MKT"], (0, 3), "clean").shape == (1, 2, 32)


def test_resident__one_model_at_a_time(esm2_folder, esmc_folder):
    import gc
    import weakref

    first = resident.resident(model_spec("ESM", esm2_folder), "cpu")
    assert resident.resident(model_spec("ESM", esm2_folder), "cpu") is first
    gone = weakref.ref(first.model)
    del first
    resident.resident(model_spec("ESM3c", esmc_folder), "cpu")
    gc.collect()
    assert gone() is None
    resident.release()
