"""References of one's own: computed as a run computes, and taken up after a stop."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import yaml

from fantasia_dask import build_reference
from fantasia_dask.embed import packets
from fantasia_dask.errors import FantasiaWarning, InputError
from fantasia_dask.progress import Progress
from fantasia_dask.reference import open_reference, verify_reference
from fantasia_dask.store import open_store

QUIET = Progress(quiet=True)


@pytest.fixture
def given(sample, client):
    """All that a build of the sample's reference needs but the model."""
    return {
        "fasta": sample / "reference.fasta",
        "annotations": sample / "annotations.tsv",
        "ontology": sample / "go.obo",
        "taxonomy_dump": sample / "taxonomy",
        "client": client,
        "progress": QUIET,
    }


@pytest.fixture
def tiny(sample):
    return {"model": "Tiny-ESM2", "family": "esm2", "checkpoint": sample / "tiny-esm2"}


@pytest.fixture
def config(sample, tmp_path):
    """The configuration of a run, with two models of which one is left out."""
    model = {"family": "esm2", "checkpoint": str(sample / "tiny-esm2")}
    models = {"Tiny-ESM2": {**model, "layer_index": [0, 1]}, "Other": {**model, "enabled": False}}
    settings = {
        "input": "queries.fasta",
        "reference": "no_reference_yet",
        "embedding": {"device": "cpu", "profile": "pis-3.1", "cache": "kept", "models": models},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture
def computed(monkeypatch):
    """Count the packets that are computed; told a number, interrupt before the packet that follows it."""
    real = packets.run_packets
    seen = []

    class Count:
        stop = None

        def __len__(self):
            return len(seen)

    count = Count()

    def counting(wanted, client):
        for packet, result in real(wanted, None):
            if len(seen) == count.stop:
                raise KeyboardInterrupt
            seen.append(packet)
            yield packet, result

    monkeypatch.setattr(packets, "run_packets", counting)
    return count


def vectors_of(path):
    reference = open_reference(path)
    return {str(space): reference.vectors(space.model, space.layer).compute() for space in reference.spaces}


def assert_alike(one, other):
    one, other = vectors_of(one), vectors_of(other)
    assert list(one) == list(other)
    for space in one:
        np.testing.assert_array_equal(one[space], other[space])


def test_build__goes_on_where_it_was_stopped(given, tiny, tmp_path, computed):
    small = {"embedding.queue_batch_size": 6}
    build_reference(tmp_path / "undisturbed", **given, **tiny, overrides=small)
    packets_of_all = len(computed)
    assert packets_of_all >= 6
    computed.stop = packets_of_all + 3
    with pytest.raises(KeyboardInterrupt):
        build_reference(tmp_path / "out", **given, **tiny, overrides=small)
    computed.stop = None
    build_reference(tmp_path / "out", **given, **tiny, overrides=small)
    # The one that was interrupted had been computed and committed before it was told.
    assert len(computed) <= 2 * packets_of_all
    assert verify_reference(tmp_path / "out") > 10
    assert_alike(tmp_path / "out", tmp_path / "undisturbed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "undisturbed"]


def test_build__a_mistake_in_the_annotations_costs_no_vectors(given, tiny, tmp_path, computed, monkeypatch):
    from fantasia_dask.reference import bundle

    def full(*arguments, **named):
        raise InputError("found at the end")

    with monkeypatch.context() as broken:
        broken.setattr(bundle, "_write_table", full)
        with pytest.raises(InputError, match="found at the end"):
            build_reference(tmp_path / "out", **given, **tiny)
    done = len(computed)
    assert done > 0
    build_reference(tmp_path / "out", **given, **tiny)
    assert len(computed) == done
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_build__as_the_configuration_of_a_run_says(given, config, tmp_path, computed):
    made = build_reference(tmp_path / "out", **given, config=config)
    assert [str(space) for space in made.spaces] == ["Tiny-ESM2 layer 0", "Tiny-ESM2 layer 1"]
    assert {space.profile for space in made.spaces} == {"pis-3.1"}
    assert list((tmp_path / "kept").rglob("*.parquet")), "the cache of runs is used, and kept"
    done = len(computed)
    build_reference(tmp_path / "again", **given, config=config)
    assert len(computed) == done
    assert_alike(tmp_path / "out", tmp_path / "again")


def test_build__what_differs_from_the_configuration(given, config, tmp_path):
    changes = ["embedding.profile=clean", "embedding.models.Tiny-ESM2.layer_index=[1]", "embedding.cache=null"]
    made = build_reference(tmp_path / "out", **given, config=config, overrides=changes)
    assert [(str(space), space.profile) for space in made.spaces] == [("Tiny-ESM2 layer 1", "clean")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run.yaml"]


def test_build__on_the_cluster_that_the_settings_describe(given, tiny, tmp_path, monkeypatch):
    """Here one of one thread in this process; `tests/cluster` has workers that run already."""
    from fantasia_dask import cluster

    shapes = []

    def seen(client, files, folder):
        shapes.append((list(client.nthreads().values()), folder))

    monkeypatch.setattr(cluster, "check_files", seen)
    one = {"cluster.kind": "local", "cluster.threads_per_worker": 1}
    build_reference(tmp_path / "one", **(given | {"client": None}), **tiny, overrides=one)
    assert shapes == [([1], tmp_path / ".one.making")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no model is named: expected --model, or --config"),
        ({"model": "Nothing-Known"}, "Nothing-Known"),
        ({"model": "ESM", "device": "gpu"}, "embedding.device in the arguments"),
        ({"model": "ESM", "layers": (99,)}, "layer"),
        ({"model": "ESM", "overrides": ["embedding.caches=x"]}, "Did you mean embedding.cache"),
        ({"model": "ESM", "overrides": ["embedding.cache"]}, "KEY=VALUE"),
        ({"config": "run.yaml", "model": "ESM"}, "model is given, and run.yaml says it too"),
        ({"config": "run.yaml", "batch_size": 2}, "batch_size is given"),
        ({"config": "nowhere.yaml"}, "nowhere.yaml"),
        ({"embeddings": "v.npz"}, r"the vectors are brought along: expected the model that made them \(--model\)"),
        ({"embeddings": "v.npz", "model": "M", "config": "run.yaml"}, "--config says how they are computed"),
        ({"embeddings": "v.npz", "model": "M", "device": "cpu"}, "--device says how they are computed"),
        ({"embeddings": "v.npz", "model": "M", "batch_size": 0}, "--batch-size says how they are computed"),
        ({"embeddings": "v.npz", "model": "M", "checkpoint": "x"}, "--checkpoint says how they are computed"),
        ({"embeddings": "v.npz", "model": "M", "overrides": ["cluster.workers=2"]}, "--set, --scheduler or --sched"),
        ({"model": "ESM", "overrides": ["limit_per_entry=3"]}, "limit_per_entry has no effect on a reference"),
        ({"model": "ESM", "overrides": ["input=x.fasta"]}, "input has no effect on a reference"),
        ({"model": "ESM", "device": "cpu", "overrides": ["embedding.device=cuda"]}, "embedding.device is given twice"),
        (
            {"model": "ESM", "layers": [0], "overrides": {"embedding.models.ESM.layer_index": [1]}},
            "embedding.models.ESM.layer_index is given twice",
        ),
        ({"model": "ESM", "overrides": ["embedding.models={ESM: {}}"]}, "embedding.models is given twice"),
        ({"model": "ESM", "overrides": {"embedding": {"models": {}}}}, "embedding.models is given twice"),
        (
            {"model": "ESM", "layers": [0], "overrides": ["embedding.models.ESM={layer_index: [1]}"]},
            "embedding.models.ESM.layer_index is given twice",
        ),
        (
            {"model": "ESM", "device": "cpu", "overrides": {"embedding": {"device": "cuda"}}},
            "embedding.device is given twice",
        ),
        ({"model": "ESM", "annotations": "-"}, "- is standard input, and a reference is made from files"),
        ({"model": "ESM", "fasta": "-"}, "- is standard input"),
        ({"model": "ESM", "ontology": "-"}, "- is standard input"),
    ],
)
def test_build__mistakes(given, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        build_reference(tmp_path / "out", **(given | options))
    assert list(tmp_path.iterdir()) == []


def test_build__vectors_brought_along_are_among_the_sources(given, sample, tmp_path):
    store = open_store(sample / "reference" / "embeddings.zarr")
    (space,) = [space for space in store.spaces if space.layer == 0]
    vectors = store.vectors(space.model, space.layer).compute()
    np.savez(tmp_path / "v.npz", ids=np.array(store.ids, dtype=str), embeddings=vectors)
    made = build_reference(tmp_path / "out", **given, embeddings=tmp_path / "v.npz", model="Tiny-ESM2")
    digest = hashlib.sha256((tmp_path / "v.npz").read_bytes()).hexdigest()
    assert made.manifest["sources"][0] == {
        "name": "v.npz", "bytes": (tmp_path / "v.npz").stat().st_size, "sha256": digest
    }  # fmt: skip
    assert len(made.manifest["sources"]) > 4


def test_build__proteins_that_are_cut_are_told(given, tiny, tmp_path):
    with pytest.warns(FantasiaWarning, match=r"\d+ reference proteins are longer than .*max_sequence_length \(40\)"):
        build_reference(tmp_path / "out", **given, **tiny, overrides=["embedding.max_sequence_length=40"])
