"""Signals, workers that die, a scheduler that is gone, and two runs at once: a clear end, or none at all."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from tests.faults.world import World, contents, interrupt, same, wait_for

BEGUN = {"embed": "embeddings.zarr.parts", "lookup": "hits", "annotate": "annotations"}
"""What is there as soon as a stage has begun."""


def wait_for_stage(world, stage, process):
    wait_for((world.folder / BEGUN[stage]).exists, process)


def workers_of(process):
    """The worker processes of a run, which were spawned by it."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if not gone(child) and "spawn_main" in command_of(child)]
    return []


def command_of(process):
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def gone(process):
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def stop_and_resume(world, number, code, stage, *arguments):
    process = world.start(*arguments)
    wait_for_stage(world, stage, process)
    workers = workers_of(process)
    said = interrupt(process, number)
    assert process.returncode == code, said
    assert said.splitlines()[-1] == "interrupted: the same command takes the run up again."
    assert "Traceback" not in said
    assert not (world.folder / "run.lock").exists()
    assert world.left() == []
    wait_for(lambda: all(map(gone, workers)))
    journal = [json.loads(line)["event"] for line in (world.folder / "events.jsonl").read_text().splitlines()]
    assert journal[-1] == "stopped"
    return world.finish()


def test_sigterm__a_clean_stop_and_the_same_results(world, undisturbed):
    assert same(stop_and_resume(world, signal.SIGTERM, 143, "lookup"), undisturbed)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("number", "code", "stage", "workers"),
    [
        (signal.SIGINT, 130, "annotate", 1),
        (signal.SIGINT, 130, "lookup", 2),
        (signal.SIGINT, 130, "embed", 2),
        (signal.SIGTERM, 143, "embed", 2),
    ],
)
def test_signals__a_clean_stop_and_the_same_results(world, undisturbed, number, code, stage, workers):
    found = stop_and_resume(world, number, code, stage, "--set", f"cluster.workers={workers}")
    assert same(found, undisturbed)


@pytest.mark.faults
def test_sigkill__workers_end_with_their_driver(world, undisturbed):
    process = world.start("--set", "cluster.workers=2")
    wait_for_stage(world, "embed", process)
    workers = workers_of(process)
    assert workers
    process.kill()
    process.communicate()
    wait_for(lambda: all(map(gone, workers)))
    assert [name for name in world.left() if name.startswith("fantasia-dask-")], "nobody could clear up"
    assert same(world.finish(), undisturbed)
    assert world.left() == [], "the next run does"


@pytest.mark.faults
def test_workers__killed_one_after_the_other(tmp_path, undisturbed):
    """One at the embedding, one at the lookup, one at the annotation; Dask gives a task up at its fourth death."""
    world, killed = World(tmp_path), []
    process = world.start("--set", "cluster.workers=2")
    for stage in BEGUN:
        wait_for_stage(world, stage, process)
        worker = next((worker for worker in workers_of(process) if worker.pid not in killed), None)
        if worker is not None:
            worker.kill()
            killed.append(worker.pid)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert len(killed) > 1
    assert same(contents(world.folder), undisturbed)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_cluster(port):
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port),
         "--dashboard-address", "127.0.0.1:0"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    worker = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--nworkers", "1",
         "--nthreads", "2", "--no-dashboard"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return scheduler, worker


def stop(*processes):
    for process in processes:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


@pytest.mark.faults
def test_scheduler__gone_in_the_middle(world, undisturbed):
    port = free_port()
    scheduler, worker = start_cluster(port)
    try:
        process = world.start("--scheduler", f"tcp://127.0.0.1:{port}")
        wait_for_stage(world, "embed", process)
        scheduler.kill()
        _, said = process.communicate(timeout=300)
    finally:
        stop(scheduler, worker)
    assert process.returncode == 2, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "the cluster is gone" in line
    assert "give the same command again" in line
    scheduler, worker = start_cluster(port)
    try:
        assert same(world.finish("--scheduler", f"tcp://127.0.0.1:{port}"), undisturbed)
        assert scheduler.poll() is None, "a cluster of others is left running"
    finally:
        stop(scheduler, worker)


def test_two_runs__in_one_folder(world):
    process = world.start()
    wait_for(lambda: (world.folder / "run.lock").exists(), process)
    line = world.refused()
    assert f"in use by process {process.pid} on" in line
    interrupt(process, signal.SIGTERM)


@pytest.mark.faults
def test_two_runs__with_one_reference_and_one_cache(tmp_path, undisturbed):
    world, cache = World(tmp_path), tmp_path / "cache"
    names = ("one", "two")
    arguments = {name: ["--prefix", name, "--set", f"embedding.cache={cache}"] for name in names}
    processes = [world.start(*arguments[name]) for name in names]
    for process in processes:
        _, said = process.communicate()
        assert process.returncode == 0, said
    for name in names:
        assert same(contents(world.folder.with_name(name)), undisturbed, renamed=True)


@pytest.mark.faults
def test_fresh__begins_anew(world, undisturbed):
    world.finish()
    (world.folder / "notes.txt").write_text("the user's own")
    before = (world.folder / "hits/model=Tiny-ESM2/layer=0/part-00000.parquet").stat().st_mtime_ns
    found = world.finish("--fresh")
    assert (world.folder / "hits/model=Tiny-ESM2/layer=0/part-00000.parquet").stat().st_mtime_ns != before
    assert found.pop("notes.txt")
    assert same(found, undisturbed)
