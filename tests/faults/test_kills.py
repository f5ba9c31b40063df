"""SIGKILL of the driver at random moments of every stage of a whole run; resumed to the same bytes."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.killing import told_by

STAGES = ("start", "embed", "lookup", "annotate", "report")

# A life of a run is killed five times, in stages drawn at random and put in order, each time a random while after its
# journal tells that the stage has begun, and then runs to its end. "start" is all before the journal: reading the
# input and the reference, and the lock.
SCRIPT = """
import json, random, shutil, sys, time
from datetime import datetime
from pathlib import Path
import torch
from tests.faults.world import World, contents
from tests.killing import KILLED, ended, killed_after, rehearse, start
from fantasia_dask.config import load_config
from fantasia_dask.pipeline import run
from fantasia_dask.progress import Progress

home, times, proteins, report, *stages = Path(sys.argv[1]), *map(int, sys.argv[2:5]), *sys.argv[5:]
for name, module in list(sys.modules.items()):
    if name.startswith("fantasia_dask") and hasattr(module, "PART_QUERIES"):
        module.PART_QUERIES = 32  # many parts of few queries, so that a kill leaves some done and some not
world, rng = World(home, proteins), random.Random(17)
exports = "consensus gaf gpad clusterprofiler goatools goslim multiqc ro-crate cafa raw-tsv".split()

def work():
    torch.set_num_threads(1)
    run(load_config(world.config, {"exports": exports, "report": bool(report)}), progress=Progress(quiet=True))

def begun(pid):
    # When each stage of a process began, as far as it has come
    journal, times = world.folder / "events.jsonl", {}
    for line in journal.read_text().splitlines() if journal.is_file() else ():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # half a line, of a process that was killed while it wrote
        if event["event"] == "run-begun":
            times, ours = {}, event["process"] == pid
        elif event["event"] == "stage-begun" and event["stage"] == "embedding":
            times["embed"] = event["time"]
        elif event["event"] == "stage-cost":
            times[[*stages, "end"][stages.index(event["stage"]) + 1]] = event["time"]
    return times if times and ours else {}

def struck(stage, delay):
    # Kill a run a while after a stage has begun; return its exit code, and where it was
    pid = start(work)
    while stage != "start" and stage not in begun(pid):
        code = ended(pid, 0.001)
        if code is not None:
            return code, "end"
    code = killed_after(pid, delay)
    return code, (["start", *begun(pid)])[-1]

def whole():
    found = contents(world.folder)
    shutil.rmtree(world.folder)
    return found

rehearse(work)
whole()
clock, pid = time.time(), start(work)
assert ended(pid) == 0
marks = [clock, *(datetime.fromisoformat(mark).timestamp() for mark in begun(pid).values())]
seconds = dict(zip(stages, (b - a for a, b in zip(marks, marks[1:]))))
expected, kills, lives, wrong = whole(), [], 0, set()
while len(kills) < times:
    for stage in sorted(rng.choices(stages, k=5), key=stages.index) if lives else stages:
        code, place = struck(stage, rng.uniform(0, seconds[stage]))
        if code != KILLED:
            assert code == 0
            break
        kills.append(place)
        if len(kills) == times:
            break
    if code == KILLED:
        assert ended(start(work)) == 0
    found, lives = whole(), lives + 1
    wrong |= {name for name in {*found, *expected} if found.get(name) != expected.get(name)}
left = [path.name for path in home.glob("fantasia-dask-*")]
print(json.dumps({"seconds": seconds, "kills": kills, "lives": lives, "wrong": sorted(wrong), "left": left}))
"""


def killed(home, times, proteins, report):
    """Kill a run of some proteins, with or without a page, so many times; return how often in which stage."""
    told = told_by(SCRIPT, home, times, proteins, int(report), *STAGES, TMPDIR=str(home))
    assert told["wrong"] == []
    assert told["left"] == [], "the folders of the killed are swept away"
    assert len(told["kills"]) == times
    return Counter(told["kills"])


def test_kills__once_in_each_stage(tmp_path):
    killed(tmp_path, 5, 60, report=False)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_kills__fifty_over_all_stages(tmp_path):
    stages = killed(tmp_path, 50, 300, report=True)
    assert set(STAGES) <= set(stages), "every stage is struck"
    assert min(stages[stage] for stage in STAGES) >= 3
