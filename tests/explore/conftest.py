"""Runs to be opened: a simulated world with hostile names, and runs that have not come so far."""

from __future__ import annotations

import numpy as np
import pytest

from fantasia_dask import open_run, run
from fantasia_dask.config import make_config
from fantasia_dask.progress import Progress
from fantasia_dask.schema import Space
from fantasia_dask.store import StoreWriter
from fantasia_dask.testing import simulate_embeddings, simulate_reference

SPACES = (Space("Sim", 0, 32, "clean", "sim", "r1"), Space("Sim", 1, 16, "clean", "sim", "r1", "float16"))
IDS = ["A/B", "NA", "00123", "=cmd()", "../../x", "<b>$x$</b>", "silent", *(f"Q{i}" for i in range(1100))]
SILENT = IDS.index("silent")
"""A protein without a vector."""


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A folder with `reference` (60 proteins), and `queries.zarr` with 1,107 queries: two parts of hits."""
    folder = tmp_path_factory.mktemp("world")
    simulate_reference(folder / "reference", 60, SPACES)
    present = np.arange(len(IDS)) != SILENT
    with StoreWriter(folder / "queries.zarr", ids=IDS, sequences=["MKT"] * len(IDS), spaces=SPACES) as writer:
        for space in SPACES:
            writer.write(space, 0, simulate_embeddings(len(IDS), space.dimension, seed=7), present)
    return folder


@pytest.fixture(scope="session")
def configured(world):
    """Make the configuration of a lookup in that world; keys are dotted."""

    def make(prefix, **changes):
        settings = {
            "input": str(world / "queries.zarr"),
            "only_lookup": True,
            "reference": str(world / "reference"),
            "base_directory": str(world),
            "prefix": prefix,
            "limit_per_entry": 3,
            "alignments": "none",
            "topgo": False,
            "cluster": {"kind": "local", "threads_per_worker": 2},
            "embedding": {"models": {"Sim": {"layer_index": [0, 1]}}},
        }
        return make_config(settings, {key.replace("__", "."): value for key, value in changes.items()})

    return make


@pytest.fixture(scope="session")
def opened(configured):
    """The run of that world, opened."""
    return open_run(run(configured("run"), progress=Progress(quiet=True)).folder)
