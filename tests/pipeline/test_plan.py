"""The plan is what the run then does, and making it starts and writes nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fantasia_dask import cli, cluster, lookup, plan_run
from fantasia_dask.errors import InputError
from fantasia_dask.lookup import calibration
from fantasia_dask.lookup.calibration import calibrate
from fantasia_dask.pipeline import plan
from fantasia_dask.schema import Space
from fantasia_dask.store import StoreWriter, open_store


@pytest.fixture(autouse=True)
def in_a_moment(monkeypatch):
    monkeypatch.setattr(plan, "CALIBRATION_SECONDS", 0.02)


def test_plan__says_what_there_is(lookup_config):
    planned = plan_run(lookup_config(cluster__threads_per_worker=1, cluster__memory_limit="2GB"))
    assert (planned.kind, planned.proteins, planned.models) == ("local", 25, ())
    assert planned.workers == cluster.Workers(1, 1, 2 * 10**9, 1)
    assert [str(s.space) for s in planned.spaces] == ["Sim layer 0", "Sim layer 1"]
    for space, (d, itemsize) in zip(planned.spaces, [(32, 4), (16, 2)], strict=True):
        assert (space.queries, space.rows, space.donors) == (25, 60, 60)
        assert (space.query_bytes, space.read_bytes) == (25 * d * itemsize, 60 * d * itemsize)
        assert 0 < space.task_bytes < space.worker_bytes < 2 * 10**9
        assert space.seconds > 0
    assert set(planned.speeds) == {(32, "<f4"), (16, "<f2")}
    text = planned.text()
    assert text.startswith("1 worker (local), 1 thread and 2 GB of memory each\n25 proteins with vectors")
    assert re.search(r"^Sim layer 1 +25 +60 +60 +16 +1 ", text, re.MULTILINE)


def test_plan__starts_no_cluster_and_writes_nothing(lookup_config, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a plan needs no cluster")

    monkeypatch.setattr("distributed.Client", refuse)
    monkeypatch.setattr(cluster, "local_cluster", refuse)
    monkeypatch.chdir(tmp_path)
    plan_run(lookup_config())
    assert list(tmp_path.iterdir()) == []


def test_plan__is_what_the_run_does(lookup_config, run_quietly, client, monkeypatch):
    asked = []
    plan_lookup = lookup.memory.plan_lookup

    def noted(*shape, **how):
        asked.append((shape, how, plan_lookup(*shape, **how)))
        return asked[-1][2]

    monkeypatch.setattr(lookup.memory, "plan_lookup", noted)
    monkeypatch.setattr(lookup, "plan_lookup", noted)
    (worker,) = client.scheduler_info()["workers"].values()
    config = lookup_config(cluster__threads_per_worker=2, cluster__memory_limit=worker["memory_limit"])
    plan_run(config)
    planned = {shape: (how, cut) for shape, how, cut in asked}
    assert list(planned) == [(1024, 60, 32), (1024, 60, 16)]
    asked.clear()
    run_quietly(config)
    assert {shape: (how, cut) for shape, how, cut in asked} == planned


def test_plan__counts_the_donors_that_may_answer(lookup_config):
    everyone = plan_run(lookup_config()).spaces[0]
    some = plan_run(lookup_config(taxonomy_ids_to_exclude=[9606])).spaces[0]
    assert (everyone.donors, some.donors, some.rows) == (60, 40, 60)


def test_plan__too_little_memory_names_the_least(lookup_config):
    with pytest.raises(InputError, match=r"a worker has 5 MB of memory for 2 threads, .* at least (\d+) MB") as caught:
        plan_run(lookup_config(cluster__threads_per_worker=2, cluster__memory_limit="5MB"))
    least = int(re.search(r"at least (\d+) MB", str(caught.value))[1])
    plan_run(lookup_config(cluster__threads_per_worker=2, cluster__memory_limit=f"{least}MB"))
    with pytest.raises(InputError, match=f"at least {least} MB"):
        plan_run(lookup_config(cluster__threads_per_worker=2, cluster__memory_limit=f"{least - 2}MB"))


def test_plan__of_proteins(sample_config):
    planned = plan_run(sample_config())
    assert (planned.proteins, planned.models, len(planned.spaces)) == (12, ("Tiny-ESM2",), 2)
    assert planned.residues == 1733
    assert "12 proteins, 1,733 residues to embed with Tiny-ESM2: the time of it" in planned.text()


def test_plan__only_embedding(sample_config):
    planned = plan_run(sample_config(only_embedding=True, reference=None))
    assert planned.spaces == ()
    assert planned.text().endswith("nothing to look up")


def test_plan__vectors_of_another_tool_are_not_imported(lookup_config, tmp_path):
    np.savez(tmp_path / "two.npz", ids=["A", "B"], embeddings=np.ones((2, 32), "float16"))
    planned = plan_run(lookup_config(input=str(tmp_path / "two.npz"), embedding__models={"Sim": {"layer_index": [0]}}))
    assert planned.spaces[0].query_bytes == 2 * 32 * 2
    assert [path.name for path in tmp_path.iterdir()] == ["two.npz"]


def test_plan__asks_a_cluster_that_runs(lookup_config, client):
    planned = plan_run(lookup_config(cluster__kind="address", cluster__address=client.scheduler.address))
    assert (planned.kind, planned.workers.total_threads) == ("address", 2)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"kind": "local", "workers": 4, "memory_limit": 10**9}, (4, max(1, cluster.usable_cores() // 4), 10**9)),
        ({"kind": "cuda", "workers": 2, "memory_limit": 10**9}, (2, 1, 10**9)),
        ({"kind": "slurm", "workers": 8, "threads_per_worker": 16, "memory_limit": 10**15}, (8, 16, 10**15)),
    ],
)
def test_expected_workers(asked, expected):
    kind, found = cluster.expected_workers(**asked)
    assert (kind, (found.count, found.threads, found.memory_bytes)) == (asked["kind"], expected)
    assert found.total_threads == found.count * found.threads


def test_plan__query_blocks_of_a_small_budget():
    few = lookup.LookupPlan(query_rows=300, reference_rows=10, batch_size=300, task_bytes=1, tasks=1)
    assert plan._query_blocks(2500, few) == 4 + 4 + 2  # 1,024, 1,024 and 452 queries are drawn
    many = lookup.LookupPlan(query_rows=2048, reference_rows=10, batch_size=300, task_bytes=1, tasks=1)
    assert plan._query_blocks(2500, many) == 2


def test_plan__command(lookup_config, tmp_path, capsys, monkeypatch):
    from fantasia_dask.config import dump_config

    (tmp_path / "ants.yaml").write_text(dump_config(lookup_config()))
    with pytest.raises(SystemExit) as left:
        cli.main(["plan", str(tmp_path / "ants.yaml"), "--limit-per-entry", "2", "--set", "cluster.memory_limit=3GB"])
    assert left.value.code == 0
    assert "3 GB of memory each" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        cli.main(["plan", str(tmp_path / "ants.yaml"), "--set", "cluster.memory_limit=1MB"])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: a worker has 1 MB of memory")


# Calibration -----------------------------------------------------------------------------------------------------


def stored(tmp_path, present):
    space = Space("Sim", 0, 8)
    n = len(present)
    with StoreWriter(
        tmp_path / "s.zarr", ids=[f"P{i}" for i in range(n)], sequences=[""] * n, spaces=[space]
    ) as writer:
        writer.write(space, 0, np.ones((n, 8)), np.asarray(present))
    return open_store(tmp_path / "s.zarr").stored("Sim", 0)


def test_calibrate__leaves_rows_without_a_vector_out(tmp_path, monkeypatch):
    seen = []
    time_tiles = calibration._time_tiles
    monkeypatch.setattr(
        calibration, "_time_tiles", lambda q, donors, *rest: seen.append(donors) or time_tiles(q, donors, *rest)
    )
    present = np.array([True, False, True])
    speed = calibrate(stored(tmp_path, present), present, q=5, threads=2, seconds=0.01, how={"k": 2})
    assert seen[0].shape == (2, 8)
    assert speed.threads == 2
    assert min(speed.pairs_per_second, speed.bytes_per_second) > 0


def test_calibrate__no_vector(tmp_path):
    present = np.zeros(3, bool)
    with pytest.raises(InputError, match="has no vector in rows 0 to 3"):
        calibrate(stored(tmp_path, present), present, q=5, threads=1, seconds=0.01, how={"k": 2})
