"""Weights ahead of time, and what is said where there is no network."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest
import yaml

from fantasia_dask.embed import weights
from fantasia_dask.embed.models import REGISTRY, model_spec
from fantasia_dask.embed.weights import check_files, describe_models, prepare_models
from fantasia_dask.errors import InputError


@pytest.fixture
def hub_cache(monkeypatch, tmp_path):
    """An empty cache of the hub, and no network: a cache that finds what is missing would fail."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def no_network(*_args, **_kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    return tmp_path / "hub"


@pytest.fixture
def hub(hub_cache, esm2_folder, monkeypatch):
    """A hub from which every ESM-2 can be fetched; tells what was."""
    fetched = []

    def fetch(spec):
        fetched.append(spec.key)
        return put_into_cache(hub_cache, spec, esm2_folder)

    monkeypatch.setattr(weights, "fetch_checkpoint", fetch)
    return fetched


def put_into_cache(cache, spec, folder):
    home = cache / ("models--" + spec.checkpoint.replace("/", "--"))
    shutil.copytree(folder, home / "snapshots" / spec.revision)
    return home / "snapshots" / spec.revision


def test_describe_models__one_line_per_model(hub_cache, esm2_folder):
    put_into_cache(hub_cache, REGISTRY["ESM2-8M"], esm2_folder)
    head, *lines = describe_models().splitlines()
    assert head.split() == ["model", "d", "layers", "download", "cached", "number", "licence"]
    cells = {line.split()[0]: line.split() for line in lines}
    assert list(cells) == list(REGISTRY)
    assert cells["ESM2-8M"] == ["ESM2-8M", "320", "7", "31", "MB", "yes", "-", "MIT"]
    assert cells["ESM"] == ["ESM", "1280", "34", "2.6", "GB", "no", "1", "MIT"]
    assert [key for key, line in cells.items() if "yes" in line] == ["ESM2-8M"]


def test_prepare_models__fetches_what_is_missing_and_a_second_call_nothing(hub):
    told = []
    specs = [model_spec("ESM2-8M"), model_spec("ESM")]
    prepare_models(specs, tell=told.append)
    assert hub == ["ESM2-8M", "ESM"]
    assert told[0] == (
        "to be fetched: ESM2-8M (facebook/esm2_t6_8M_UR50D, 31 MB), ESM (facebook/esm2_t33_650M_UR50D, 2.6 GB)"
    )
    assert [line.split()[0] for line in told[1:]] == ["ESM2-8M:", "ESM:"]
    told.clear()
    prepare_models(specs, tell=told.append)
    prepare_models(specs, offline=True, tell=told.append)
    assert hub == ["ESM2-8M", "ESM"]
    assert all("is whole" in line for line in told)


def test_prepare_models__offline_names_all_that_is_missing(hub, esm2_folder):
    told = []
    specs = [model_spec("ESM2-8M"), model_spec("ESM2-35M", esm2_folder), model_spec("ESM")]
    with pytest.raises(InputError, match=r"not on this machine: ESM2-8M \(.*31 MB\), ESM \(.*2\.6 GB\)\. Run"):
        prepare_models(specs, offline=True, tell=told.append)
    assert hub == told == []


def test_prepare_models__check_tries_tokenizer_and_weights(hub_cache, t5_folder, esm2_folder, broken_copy):
    told = []
    prepare_models([model_spec("ESM", esm2_folder), model_spec("Prot-T5", t5_folder)], check=True, tell=told.append)
    assert [line.partition(" is whole")[0] for line in told] == ["ESM: loads and", "Prot-T5: loads and"]
    copy = broken_copy(t5_folder)
    for file in copy.glob("tokenizer*"):
        file.unlink()
    prepare_models([model_spec("Prot-T5", copy)], tell=told.append)
    with pytest.raises(InputError, match=r"tokenizer in .* is wrong or missing"):
        prepare_models([model_spec("Prot-T5", copy)], check=True, tell=told.append)


@pytest.mark.parametrize("length", [-4, 4, 100])
def test_check_files__weights_cut_short_or_too_long(esm2_folder, broken_copy, length):
    copy = broken_copy(esm2_folder)
    check_files(model_spec("ESM", copy), copy)
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content + b"1234" if length == 4 else content[:length])
    with pytest.raises(InputError, match="are damaged"):
        check_files(model_spec("ESM", copy), copy)


def test_check_files__a_shard_is_missing(esm2_folder, broken_copy):
    copy = broken_copy(esm2_folder)
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00002-of-00002.safetensors"}}')
    with pytest.raises(InputError, match="lack model-00002-of-00002"):
        check_files(model_spec("ESM", copy), copy)


# The command line, in a process of its own ------------------------------------------------------------------------


def command(*arguments, **environment):
    """Run the command line without any weights; it must not wait for a network."""
    return subprocess.run(
        [sys.executable, "-m", "fantasia_dask", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.fixture
def config(tmp_path):
    (tmp_path / "one.fasta").write_text(">P1\nMKTAYIAK\n")
    settings = {
        "input": "one.fasta",
        "only_embedding": True,
        "prefix": "run",
        "base_directory": ".",
        "cluster": {"kind": "local"},
        "embedding": {"device": "cpu", "models": {"ESM2-8M": {}, "ESM": {"enabled": False}}},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "run.yaml"


def only_error(done):
    """Return the one sentence, as an exit code of 2 promises."""
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return error


def test_models__imports_no_torch(tmp_path):
    program = (
        "import sys\nfrom fantasia_dask.cli import main\n"
        "try:\n    main(['models'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print([name for name in ('torch', 'transformers', 'dask', 'pandas') if name in sys.modules])\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) == len(REGISTRY) + 2


@pytest.mark.parametrize("arguments", [("run",), ("initialize", "--models"), ("initialize", "--models", "--offline")])
def test_offline__not_cached_is_one_sentence(config, tmp_path, arguments):
    """With HF_HUB_OFFLINE, and a hub that would answer nothing if it were asked after all."""
    verb, *options = arguments
    done = command(
        verb, config, *options, HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9"
    )
    error = only_error(done)
    assert "ESM2-8M (facebook/esm2_t6_8M_UR50D" in error
    assert "initialize CONFIG --models" in error
    assert "ESM (" not in error, "a model that is not enabled is not missed"


def test_initialize__no_network_is_one_question(config, tmp_path):
    """A hub that takes every call and hangs up: it is called once, not again and again."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                calls.append(connection.recv(100))
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        unset = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
        done = command("initialize", config, "--models", **unset, HF_HOME=str(tmp_path / "hf"), HF_ENDPOINT=endpoint)
        server.shutdown(socket.SHUT_RDWR)
    assert "cannot be downloaded" in only_error(done)
    assert len([call for call in calls if b"/api/models/" in call]) == 1
    assert "to be fetched: ESM2-8M (facebook/esm2_t6_8M_UR50D, 31 MB)" in done.stderr


def test_initialize__local_checkpoint(config, tmp_path, esm2_folder):
    settings = yaml.safe_load(config.read_text())
    settings["embedding"]["models"] = {"ESM": {"checkpoint": str(esm2_folder), "layer_index": [0, 3]}}
    config.write_text(yaml.safe_dump(settings))
    done = command("initialize", config, "--models", "--check", HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stderr) == (0, f"note: ESM: loads and is whole, in {esm2_folder}\n")
    settings["embedding"]["models"]["ESM"]["layer_index"] = [4]
    config.write_text(yaml.safe_dump(settings))
    assert "layer 4 is not in ESM" in only_error(command("initialize", config, "--models"))
