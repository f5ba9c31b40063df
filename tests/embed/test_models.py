from __future__ import annotations

import json
import shutil
import socket

import pytest

from fantasia_dask.embed import checkpoints
from fantasia_dask.embed.models import REGISTRY, check_layers, model_spec
from fantasia_dask.errors import InputError


def test_registry__fantasia_models_as_designed():
    rows = {key: (s.type_id, s.layers, s.dimension, s.prefix, s.spaced) for key, s in REGISTRY.items() if s.type_id}
    assert rows == {
        "ESM": (1, 34, 1280, "", False),
        "Prost-T5": (2, 25, 1024, "<AA2fold> ", True),
        "Prot-T5": (3, 25, 1024, "", True),
        "Ankh3-Large": (4, 49, 1536, "[NLU]", False),
        "ESM3c": (5, 36, 1152, "", False),
    }


def test_model_spec__unknown_key_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean Prot-T5"):
        model_spec("ProtT5")


def test_model_spec__unknown_key_with_checkpoint_and_family(esm2_folder):
    spec = model_spec("Mine", esm2_folder, "esm2")
    assert (spec.key, spec.type_id, spec.dimension, spec.layers) == ("Mine", 0, 32, 4)


def test_model_spec__key_that_names_no_folder(esm2_folder):
    with pytest.raises(InputError, match="letters, digits"):
        model_spec("../Mine", esm2_folder, "esm2")


def test_model_spec__local_checkpoint_overrides_dimension_layers_and_revision(esm2_folder):
    spec = model_spec("ESM", esm2_folder)
    assert (spec.dimension, spec.layers, spec.type_id, spec.local) == (32, 4, 1, True)
    assert spec.revision.startswith("sha256-")
    assert spec.revision != model_spec("ESM").revision


def test_model_spec__revision_follows_the_weights(esm2_folder, broken_copy):
    copy = broken_copy(esm2_folder)
    assert model_spec("ESM", copy).revision == model_spec("ESM", esm2_folder).revision
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert model_spec("ESM", copy).revision != model_spec("ESM", esm2_folder).revision


def test_model_spec__checkpoint_of_another_family(t5_folder):
    with pytest.raises(InputError, match="holds a model of type 't5'"):
        model_spec("ESM", t5_folder)


def test_model_spec__folder_without_config(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        model_spec("ESM", tmp_path)


def test_model_spec__config_that_is_not_json(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        model_spec("ESM", tmp_path)


def test_model_spec__config_without_a_dimension(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "esm"}))
    with pytest.raises(InputError, match="hidden_size"):
        model_spec("ESM", tmp_path)


def test_model_spec__path_that_does_not_exist():
    with pytest.raises(InputError, match="neither a folder nor"):
        model_spec("ESM", "no/such/folder")


def test_model_spec__learned_positions_limit_the_length(esm1b_folder, esm2_folder):
    assert model_spec("ESM-1b", esm1b_folder, "esm2").max_residues == 46
    assert model_spec("ESM", esm2_folder).max_residues is None


@pytest.mark.parametrize("layer", [-1, 34, 40])
def test_check_layers__beyond_the_model(layer):
    with pytest.raises(InputError, match=rf"layer {layer} is not in ESM: it has layers 0 \.\. 33"):
        check_layers(model_spec("ESM"), (0, layer))


def test_fetch_checkpoint__not_cached_and_offline_is_said_at_once(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def no_network(*_args, **_kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    with pytest.raises(InputError, match="not in the cache of this machine"):
        checkpoints.fetch_checkpoint(model_spec("Prot-T5"))


def test_fetch_checkpoint__nothing_reachable(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    asked = []

    def no_name(*arguments, **_options):
        asked.append(arguments)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    with pytest.raises(InputError, match="cannot be downloaded"):
        checkpoints.fetch_checkpoint(model_spec("Prot-T5"))
    assert len(asked) <= 2, "one question, not the many of a client that tries again for half a minute"


def test_checkpoint_folder__local_folder_without_weights(esm2_folder, broken_copy):
    copy = broken_copy(esm2_folder)
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="has no weights"):
        checkpoints.checkpoint_folder(model_spec("ESM", copy))


def test_cached_folder__found_in_the_layout_of_the_hub(monkeypatch, tmp_path, esm2_folder):
    from huggingface_hub import constants

    spec = model_spec("ESM2-8M")
    snapshot = tmp_path / "models--facebook--esm2_t6_8M_UR50D" / "snapshots" / spec.revision
    shutil.copytree(esm2_folder, snapshot)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert checkpoints.is_cached(spec)
    assert checkpoints.fetch_checkpoint(spec) == snapshot
    assert not checkpoints.is_cached(model_spec("ESM2-35M"))
