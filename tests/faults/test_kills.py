"""SIGKILL of the driver at random moments of a whole run, from embedding to report; resumed to the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

# A process that has imported everything and forks for every start, so that the time goes into the work that is killed.
# The parent itself computes nothing: it has no thread that a fork could lose.
SCRIPT = """
import json, os, random, shutil, signal, sys, time, traceback
from pathlib import Path
import torch, pyarrow.parquet, pyarrow.dataset, zarr, h5py, pandas, distributed, psutil, parasail, numba, Bio.SeqIO
from transformers import EsmModel, EsmTokenizer
sys.path.insert(0, sys.argv[4])
from tests.faults.world import World, contents
from fantasia_dask import ledger, schema
from fantasia_dask.config import load_config
from fantasia_dask.pipeline import neighbours, run, terms
from fantasia_dask.progress import Progress

home, times, proteins = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for module in (ledger, schema, neighbours, terms):
    if hasattr(module, "PART_QUERIES"):
        module.PART_QUERIES = 32
world, rng = World(home, proteins), random.Random(17)

def start():
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        torch.set_num_threads(1)
        run(load_config(world.config), progress=Progress(quiet=True))
        code = 0
    except BaseException:
        traceback.print_exc()  # os._exit would say nothing of it
    finally:
        sys.stderr.flush()
        os._exit(code)

def ended(pid, seconds):
    stop = time.perf_counter() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.perf_counter() > stop:
            return None
        time.sleep(0.001)

def stage():
    # The last thing that a run had begun, as its own journal tells
    if not world.folder.is_dir() or not (world.folder / "events.jsonl").is_file():
        return "start"
    events = [json.loads(l) for l in (world.folder / "events.jsonl").read_text().splitlines() if l.endswith("}")]
    costs = [e["stage"] for e in events[max(i for i, e in enumerate(events) if e["event"] == "run-begun"):]
             if e["event"] == "stage-cost"]
    return {None: "embed", "embed": "lookup", "lookup": "annotate", "annotate": "report", "report": "end"}[
        costs[-1] if costs else None]

assert ended(start(), 3600) == 0  # compiled code and caches come first
shutil.rmtree(world.folder)
begun = time.perf_counter()
assert ended(start(), 3600) == 0
whole = time.perf_counter() - begun
expected = contents(world.folder)
shutil.rmtree(world.folder)
kills, lives, stages, wrong = 0, 0, [], []
while True:
    pid = start()
    code = ended(pid, rng.uniform(0, 1.1 * whole) if kills < times else 3600)
    if code is None:
        os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == -signal.SIGKILL:
        kills += 1
        stages.append(stage())
        continue
    assert code == 0
    lives += 1
    found = contents(world.folder)
    wrong += sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    shutil.rmtree(world.folder)
    if kills >= times:
        break
print(json.dumps({"seconds": whole, "kills": kills, "lives": lives, "stages": stages, "wrong": wrong}))
"""


def killed(home, times, proteins):
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, home, times, proteins, Path(__file__).parent]
    done = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "TMPDIR": str(home)},
    )
    assert done.returncode == 0
    told = json.loads(done.stdout.splitlines()[-1])
    print({**told, "stages": Counter(told["stages"])})
    assert told["kills"] == times
    assert told["wrong"] == []
    return told


def test_kills__a_few(tmp_path):
    killed(tmp_path, 4, 60)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_kills__fifty_of_fifty(tmp_path):
    told = killed(tmp_path, 50, 300)
    assert {"embed", "lookup", "annotate", "report"} <= set(told["stages"]), "each stage is struck"
