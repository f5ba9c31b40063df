"""Vectors against a straight-line computation written here from the table of the design, sharing no code."""

from __future__ import annotations

import numpy as np
import pytest

from fantasia_dask.embed import resident
from fantasia_dask.embed.blocks import embed_proteins
from fantasia_dask.embed.models import EmbeddingRequest, model_spec
from fantasia_dask.store import open_store

KEYS = ["ESM", "Prot-T5", "Prost-T5", "Ankh3-Large", "ESM3c"]


def expected(key, folder, sequence, profile, layer):
    """One protein, no padding, every hidden state from transformers itself."""
    import torch
    import transformers as hf

    with torch.no_grad():
        if key == "ESM":
            text, model = sequence, hf.EsmModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False)
            tokenizer = hf.EsmTokenizer.from_pretrained(folder)
        elif key == "ESM3c":
            text, model = sequence, hf.EsmcModel.from_pretrained(folder, dtype=torch.float32)
            model.config.tie_last_hidden_states = profile != "pis-3.1"
            tokenizer = hf.EsmcTokenizer.from_pretrained(folder)
        else:
            model = hf.T5EncoderModel.from_pretrained(folder, dtype=torch.float32)
            spaced = " ".join("X" if letter in "UZOB" else letter for letter in sequence)
            text = {"Prot-T5": spaced, "Prost-T5": "<AA2fold> " + spaced, "Ankh3-Large": "[NLU]" + sequence}[key]
            tokenizer_class = hf.PreTrainedTokenizerFast if key == "Ankh3-Large" else hf.T5Tokenizer
            tokenizer = tokenizer_class.from_pretrained(folder)
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        states = model.eval()(input_ids=ids, output_hidden_states=True).hidden_states
    hidden = states[-(layer + 1)][0].double().numpy()
    length, tokens = len(sequence), len(hidden)
    if key in ("ESM", "ESM3c"):
        assert tokens == length + 2
        rows = list(range(1, length + 1))
        if key == "ESM" and profile == "pis-3.1":
            rows = [*range(1, length), tokens - 1]
    else:
        prefix = 0 if key == "Prot-T5" else 1
        assert tokens == prefix + length + 1
        rows = list(range(prefix, prefix + length)) if profile == "clean" else list(range(tokens))
    return hidden[rows].mean(axis=0)


def embed(folders, key, sequences, profile, layers, out, batch_size=16, **options):
    request = EmbeddingRequest(model_spec(key, folders[key]), tuple(layers), batch_size)
    ids = [f"P{i}" for i in range(len(sequences))]
    status = embed_proteins(ids, sequences, [request], out, profile=profile, device="cpu", **options)
    store = open_store(out)
    return status, {layer: np.asarray(store.vectors(key, layer)) for layer in layers}


@pytest.mark.parametrize("profile", ["pis-3.1", "clean"])
@pytest.mark.parametrize("key", KEYS)
def test_vectors__equal_straight_line_computation(key, profile, folders, proteins, tmp_path):
    layers = range(model_spec(key, folders[key]).layers)
    sequences = [*proteins[:6], "MUZOBXK"]
    status, vectors = embed(folders, key, sequences, profile, layers, tmp_path / "s.zarr")
    assert set(status["status"]) == {"embedded"}
    assert len(status) == len(sequences) * len(layers)
    for layer in layers:
        for row, sequence in enumerate(sequences):
            truth = expected(key, folders[key], sequence, profile, layer)
            error = np.linalg.norm(vectors[layer][row] - truth) / np.linalg.norm(truth)
            assert error < 1e-5, (layer, row)


@pytest.mark.parametrize("key", ["ESM", "Prost-T5", "ESM3c"])
def test_vectors__do_not_depend_on_the_batch(key, folders, proteins, tmp_path):
    rng = np.random.default_rng(0)
    proteins = [*proteins[:15], "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 3000))]
    results = [
        embed(folders, key, proteins, "pis-3.1", (0, 2), tmp_path / f"{size}.zarr", batch_size=size)[1]
        for size in (1, 3, 16)
    ]
    for other in results[1:]:
        for layer in (0, 2):
            scale = np.abs(results[0][layer]).max()
            np.testing.assert_allclose(other[layer], results[0][layer], atol=1e-5 * scale)


def forward(key, folder, sequences, profile, layers):
    """Compute the vectors of exactly one batch."""
    loaded = resident.load(model_spec(key, folder), "cpu")
    return resident.embed_batch(loaded, sequences, layers, profile).numpy()


def relative_errors(vectors, truth):
    return np.linalg.norm(vectors - truth, axis=-1) / np.linalg.norm(truth, axis=-1)


@pytest.mark.parametrize("profile", ["pis-3.1", "clean"])
@pytest.mark.parametrize("key", KEYS)
def test_vectors__batches_of_1_3_and_16_agree(key, profile, folders):
    """Batches as asked for, none cut: one residue beside three thousand, most of a batch being pads.

    The attention bias of T5 is as large as the square of the longest protein, for every protein of a batch: sixteen go
    up to 1,000 residues there. The profiles differ in the pooling alone, so that shorter ones do for the second.
    """
    rng = np.random.default_rng(2)
    longest = 300 if profile == "clean" else 3000 if key in ("ESM", "ESM3c") else 1000
    lengths = [1, longest, 2, 40, 7, 1, 300, 25, 150, 3, 90, 500, 12, 60, 5, 33]
    sequences = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in lengths]
    layers = range(model_spec(key, folders[key]).layers)
    alone = np.concatenate([forward(key, folders[key], [s], profile, layers) for s in sequences])
    by_three = [forward(key, folders[key], sequences[i : i + 3], profile, layers) for i in range(0, 16, 3)]
    together = forward(key, folders[key], sequences, profile, layers)
    assert relative_errors(np.concatenate(by_three), alone).max() < 1e-5
    assert relative_errors(together, alone).max() < 1e-5


@pytest.mark.parametrize("key", ["ESM", "Prost-T5", "ESM3c"])
def test_vectors__three_thousand_residues_in_a_batch_equal_straight_line_computation(key, folders):
    rng = np.random.default_rng(4)
    sequences = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in (1, 3000, 20)]
    vectors = forward(key, folders[key], sequences, "pis-3.1", (0, 1))
    for layer in (0, 1):
        truth = np.stack([expected(key, folders[key], s, "pis-3.1", layer) for s in sequences])
        assert relative_errors(vectors[:, layer], truth).max() < 1e-5


def test_vectors__esm_profiles_differ_by_last_residue_and_eos(folders, tmp_path, proteins):
    """With the residues fixed, L x (clean - pis) = r_L - eos: both recovered from the hidden states."""
    import torch
    from transformers import EsmModel, EsmTokenizer

    sequence = proteins[4]
    _, pis = embed(folders, "ESM", [sequence], "pis-3.1", (0,), tmp_path / "p.zarr")
    _, clean = embed(folders, "ESM", [sequence], "clean", (0,), tmp_path / "c.zarr")
    model = EsmModel.from_pretrained(folders["ESM"], add_pooling_layer=False, dtype=torch.float32).eval()
    ids = EsmTokenizer.from_pretrained(folders["ESM"])(sequence, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**ids).last_hidden_state[0].numpy()
    difference = len(sequence) * (clean[0][0] - pis[0][0])
    np.testing.assert_allclose(difference, hidden[-2] - hidden[-1], atol=1e-4)


def test_vectors__esm_of_one_residue_is_eos_alone(folders, tmp_path):
    import torch
    from transformers import EsmModel, EsmTokenizer

    _, pis = embed(folders, "ESM", ["M"], "pis-3.1", (0,), tmp_path / "p.zarr")
    model = EsmModel.from_pretrained(folders["ESM"], add_pooling_layer=False, dtype=torch.float32).eval()
    ids = EsmTokenizer.from_pretrained(folders["ESM"])("M", return_tensors="pt")
    with torch.no_grad():
        np.testing.assert_allclose(pis[0][0], model(**ids).last_hidden_state[0, 2], rtol=1e-5, atol=1e-6)


def test_vectors__prost_t5_includes_its_prefix(folders, tmp_path, proteins):
    """The sum over all tokens is the sum over the residues, and the prefix, and ``</s>``: no more, no less."""
    import torch
    from transformers import T5EncoderModel, T5Tokenizer

    sequence = proteins[4]
    _, pis = embed(folders, "Prost-T5", [sequence], "pis-3.1", (0,), tmp_path / "p.zarr")
    _, clean = embed(folders, "Prost-T5", [sequence], "clean", (0,), tmp_path / "c.zarr")
    model = T5EncoderModel.from_pretrained(folders["Prost-T5"], dtype=torch.float32).eval()
    tokenizer = T5Tokenizer.from_pretrained(folders["Prost-T5"])
    ids = tokenizer("<AA2fold> " + " ".join(sequence), return_tensors="pt")["input_ids"]
    assert ids[0, 0] == tokenizer.convert_tokens_to_ids("<AA2fold>") != tokenizer.unk_token_id
    with torch.no_grad():
        hidden = model(input_ids=ids).last_hidden_state[0].numpy()
    length = len(sequence)
    assert len(hidden) == length + 2
    difference = (length + 2) * pis[0][0] - length * clean[0][0]
    np.testing.assert_allclose(difference, hidden[0] + hidden[-1], atol=1e-4)
    assert np.abs(hidden[0]).max() > 1e-2


def test_vectors__prefix_belongs_to_the_key_not_to_the_path(folders, proteins, tmp_path):
    _, prot = embed(folders, "Prot-T5", proteins[:3], "pis-3.1", (0,), tmp_path / "a.zarr")
    _, prost = embed(folders, "Prost-T5", proteins[:3], "pis-3.1", (0,), tmp_path / "b.zarr")
    assert not np.allclose(prot[0], prost[0], rtol=1e-3)


def test_vectors__esmc_layer_0_is_before_the_norm_in_pis_only(folders, proteins, tmp_path):
    _, pis = embed(folders, "ESM3c", proteins[:3], "pis-3.1", (0, 1), tmp_path / "a.zarr")
    _, clean = embed(folders, "ESM3c", proteins[:3], "clean", (0, 1), tmp_path / "b.zarr")
    assert not np.allclose(pis[0], clean[0], rtol=1e-2)
    np.testing.assert_array_equal(pis[1], clean[1])


def test_vectors__esmc_layer_0_is_the_input_of_the_final_norm(folders, proteins, tmp_path):
    """Pooled by hand from what enters the norm, and normalised by hand to what the model gives."""
    import torch
    from transformers import EsmcModel, EsmcTokenizer

    sequence, seen = proteins[4], {}
    _, pis = embed(folders, "ESM3c", [sequence], "pis-3.1", (0,), tmp_path / "p.zarr")
    _, clean = embed(folders, "ESM3c", [sequence], "clean", (0,), tmp_path / "c.zarr")
    model = EsmcModel.from_pretrained(folders["ESM3c"], dtype=torch.float32).eval()
    model.norm.register_forward_pre_hook(lambda _module, args: seen.update(before=args[0][0]))
    with torch.no_grad():
        model(**EsmcTokenizer.from_pretrained(folders["ESM3c"])(sequence, return_tensors="pt"))
    before = seen["before"][1:-1].numpy().astype(np.float64)
    np.testing.assert_allclose(pis[0][0], before.mean(axis=0), rtol=1e-4, atol=1e-6)
    centred = before - before.mean(axis=1, keepdims=True)
    after = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + model.norm.eps)
    np.testing.assert_allclose(
        clean[0][0], (after * model.norm.weight.detach().numpy()).mean(axis=0), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("key", KEYS)
def test_vectors__unknown_letter_is_read_as_x(key, folders, tmp_path):
    _, vectors = embed(folders, key, ["MJJK", "MXXK"], "pis-3.1", (0,), tmp_path / "s.zarr")
    # The same tokens in another row of the batch: equal but for the last digit of a product.
    np.testing.assert_allclose(vectors[0][0], vectors[0][1], rtol=1e-5, atol=1e-6)
