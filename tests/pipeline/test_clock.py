"""What a stage costs, of this process and of its children."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fantasia_dask.pipeline.clock import Clock
from fantasia_dask.progress import Progress

HUNGRY = "import time; x = bytearray(200_000_000); print('full', flush=True); time.sleep(600)"


def test_stage__peaks_are_those_of_the_stage(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets a peak begin anew")
    progress = Progress(quiet=True)
    progress.log_to(tmp_path / "run.log", tmp_path / "events.jsonl")
    clock = Clock(progress)
    with clock.stage("embed"):
        held = bytearray(300_000_000)
        del held
        with subprocess.Popen([sys.executable, "-c", HUNGRY], stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            with clock.stage("inner"):
                pass
            child.kill()
    with clock.stage("lookup"):
        pass
    embed, inner, lookup = (clock.stages[name] for name in ("embed", "inner", "lookup"))
    assert inner["largest_child_peak_memory_bytes"] > 200_000_000
    assert embed["peak_memory_bytes"] - lookup["peak_memory_bytes"] > -100_000_000
    assert lookup["largest_child_peak_memory_bytes"] < 100_000_000
    assert '"event": "stage-cost"' in (tmp_path / "events.jsonl").read_text()
    assert "lookup took" in (tmp_path / "run.log").read_text()
