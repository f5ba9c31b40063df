"""Three processes, started by the dask command line: a scheduler and two workers, one of which dies at its work."""

from __future__ import annotations

import pandas as pd
import pytest

from fantasia_dask import run
from fantasia_dask.config import make_config
from fantasia_dask.progress import Progress
from fantasia_dask.schema import Space
from fantasia_dask.testing import simulate_reference, simulate_store

SPACES = tuple(Space("Sim", layer, 64, "clean", dtype="float16") for layer in range(3))

DIES = """
import os, signal, time
from pathlib import Path
from distributed import WorkerPlugin
from fantasia_dask.schema import HIT

class Dies(WorkerPlugin):
    "Kills its worker when it has found hits a third time: the scheduler counts on two, and never hears of that."

    def __init__(self):
        self.found = []

    def setup(self, worker):
        self.worker = worker

    def transition(self, key, start, finish, **more):
        if finish == "memory" and getattr(self.worker.data.get(key), "dtype", None) == HIT:
            self.found.append(str(key))
            if len(self.found) == 3:
                Path({marker!r}).write_text(f"{{time.time()}}\\n{{self.found}}\\n")
                os.kill(os.getpid(), signal.SIGKILL)

async def dask_setup(worker):
    await worker.plugin_add(Dies(), name="dies")
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    simulate_reference(folder / "reference", 20_000, SPACES)
    simulate_store(folder / "queries.zarr", 2_500, SPACES, seed=7)
    return folder


@pytest.fixture
def look_up(world, tmp_path):
    """Run the lookup alone on some cluster, and return the folder of its results."""

    def go(prefix, **where):
        settings = {
            "input": str(world / "queries.zarr"),
            "only_lookup": True,
            "reference": str(world / "reference"),
            "base_directory": str(tmp_path),
            "prefix": prefix,
            "alignments": "none",
            "embedding": {"models": {"Sim": {"layer_index": [0, 1, 2]}}},
            "cluster": where,
        }
        config = make_config(settings)
        run(config, progress=Progress(quiet=True))
        return config.run_folder

    return go


def test_worker_loss__changes_no_hit(look_up, tmp_path, start_scheduler, start_worker):
    file, marker, preload = (tmp_path / name for name in ("scheduler.json", "killed", "dies.py"))
    preload.write_text(DIES.format(marker=str(marker)))
    with (
        start_scheduler(file) as scheduler,
        start_worker(file, tmp_path / "first") as survivor,
        start_worker(file, tmp_path / "second", "--preload", preload) as victim,
    ):
        wait_for_workers(file, 2)
        disturbed = look_up("disturbed", scheduler_file=str(file))
        assert victim.wait(30) == -9
        assert survivor.poll() is None
        assert scheduler.poll() is None
    undisturbed = look_up("undisturbed", kind="local", threads_per_worker=1)
    killed = float(marker.read_text().split("\n")[0])
    hits = sorted((disturbed / "hits").rglob("*.parquet"))
    written = [path.stat().st_mtime for path in hits if "model=" in str(path)]
    assert (disturbed / "queries.parquet").stat().st_mtime < killed < max(written), "it was killed beside the lookup"
    assert [path.relative_to(disturbed) for path in hits] == [
        path.relative_to(undisturbed) for path in sorted((undisturbed / "hits").rglob("*.parquet"))
    ]
    for path in hits:
        ours, theirs = pd.read_parquet(path), pd.read_parquet(undisturbed / path.relative_to(disturbed))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert (disturbed / "summary.csv").read_bytes() == (undisturbed / "summary.csv").read_bytes()


def wait_for_workers(file, n):
    from distributed import Client

    with Client(scheduler_file=str(file)) as client:
        client.wait_for_workers(n, timeout=60)
