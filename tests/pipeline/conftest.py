"""A small world for whole runs: simulated references, and the bundled sample."""

from __future__ import annotations

import shutil
import warnings

import pytest

from fantasia_dask import run, write_report
from fantasia_dask.config import make_config
from fantasia_dask.progress import Progress
from fantasia_dask.schema import Space
from fantasia_dask.testing import simulate_reference, simulate_store

SPACES = (Space("Sim", 0, 32, "clean", "sim", "r1"), Space("Sim", 1, 16, "clean", "sim", "r1", "float16"))


@pytest.fixture(scope="session")
def client():
    from fantasia_dask.cluster import connect

    with connect("local", threads_per_worker=2) as client:
        yield client


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A folder with `reference` (60 proteins) and `queries.zarr` (25), in two layers of one model."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate_reference(folder / "reference", 60, SPACES)
    simulate_store(folder / "queries.zarr", 25, SPACES, seed=7)
    return folder


@pytest.fixture
def lookup_config(simulated, tmp_path):
    """Make the configuration of a lookup in the simulated world; keys are dotted."""

    def make(**changes):
        settings = {
            "input": str(simulated / "queries.zarr"),
            "only_lookup": True,
            "reference": str(simulated / "reference"),
            "base_directory": str(tmp_path),
            "prefix": "run",
            "limit_per_entry": 3,
            "cluster": {"kind": "local"},
            "report": False,
            "embedding": {"models": {"Sim": {"layer_index": [0, 1]}}},
        }
        return make_config(settings, {key.replace("__", "."): value for key, value in changes.items()})

    return make


@pytest.fixture
def run_quietly(client):
    def go(config, **more):
        return run(config, **({"client": client} | more), progress=Progress(quiet=True))

    return go


@pytest.fixture(scope="session")
def sample(root, tmp_path_factory):
    """A copy of the bundled sample, free to be changed, and the configuration that runs it."""
    folder = tmp_path_factory.mktemp("sample")
    shutil.copytree(root / "fantasia_dask" / "sample", folder / "sample")
    return folder / "sample"


@pytest.fixture
def sample_config(sample, tmp_path):
    """Make the configuration of a run of the bundled sample."""

    def make(**changes):
        settings = {
            "input": str(sample / "queries.fasta"),
            "reference": str(sample / "reference"),
            "base_directory": str(tmp_path),
            "prefix": "run",
            "limit_per_entry": 3,
            "cluster": {"kind": "local"},
            "report": False,
            "embedding": {
                "device": "cpu",
                "models": {
                    "Tiny-ESM2": {"family": "esm2", "checkpoint": str(sample / "tiny-esm2"), "layer_index": [0, 1]}
                },
            },
        }
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return make_config(settings, {key.replace("__", "."): value for key, value in changes.items()})

    return make


@pytest.fixture
def report(client):
    """Make the files of a run again, with changes whose keys are dotted."""

    def go(folder, **overrides):
        keys = {key.replace("__", "."): value for key, value in overrides.items()}
        return write_report(folder, keys, client=client, progress=Progress(quiet=True))

    return go
