"""A SLURM of three small programs on the PATH, which start and end real worker processes on this machine."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import dask
import pytest

from fantasia_dask.cluster import connect
from fantasia_dask.cluster import slurm as slurm_module
from fantasia_dask.errors import InputError

SBATCH = """#!/bin/bash
jobs={jobs}; id=100
until mkdir "$jobs/$id" 2>/dev/null; do id=$((id + 1)); done
cp "$1" "$jobs/$id/script"
place() {{ sed -n "s/^#SBATCH $1 //p" "$jobs/$id/script" | sed "s/%J/$id/"; }}
setsid bash "$jobs/$id/script" >"$(place -o)" 2>"$(place -e)" </dev/null &
echo $! >"$jobs/$id/pid"
echo "Submitted batch job $id"
"""
SCANCEL = """#!/bin/bash
kill -- "-$(cat {jobs}/$1/pid)"
"""
SQUEUE = """#!/bin/bash
for id in $(ls {jobs}); do kill -0 "$(cat {jobs}/$id/pid)" 2>/dev/null && echo RUNNING; done; exit 0
"""
REFUSING = """#!/bin/bash
echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1
"""
SHAPE = {"workers": 2, "threads_per_worker": 1, "memory_limit": 10**9}


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """The folder of the jobs of a SLURM that is on the PATH."""
    folder, programs = tmp_path / "jobs", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL), ("squeue", SQUEUE)):
        install(programs / name, text.format(jobs=folder))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(slurm_module, "BETWEEN_LOOKS", 0.5)
    return folder


def install(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_slurm__jobs_are_workers_and_are_cancelled(jobs, tmp_path, wait_until):
    asked = {
        "partition": "long", "account": "ants", "walltime": "02:00:00", "interface": "lo",
        "directives": ["--gpus=1"], "prologue": ["export COLONY=7"],
    }  # fmt: skip
    told = []
    with connect("slurm", **SHAPE, slurm=asked, folder=tmp_path, tell=told.append) as client:
        client.wait_for_workers(2, timeout=60)
        assert client.scheduler.address.startswith("tls://127.0.0.1")
        assert os.getpid() not in client.run(os.getpid).values()
        assert set(client.run(os.getenv, "COLONY").values()) == {"7"}
        limits = client.run(lambda dask_worker: dask_worker.memory_manager.memory_limit)
        assert list(limits.values()) == 2 * [pytest.approx(10**9, rel=0.01)]  # dask writes it with two decimals
        (keys,) = (tmp_path / "slurm").glob(".certificates*")
        assert keys.stat().st_mode & 0o077 == 0
    script = (jobs / "100" / "script").read_text()
    header = re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE)
    assert {"-p long", "-A ants", "-t 02:00:00", "--cpus-per-task=1", "--mem=954M", "--gpus=1"} <= set(header)
    assert told == ["SLURM jobs 100, 101: waiting for the first worker"]
    pids = [int(file.read_text()) for file in jobs.glob("*/pid")]
    assert len(pids) == 2
    wait_until(lambda: not any(map(alive, pids)))
    assert not keys.exists()


def test_slurm__a_lost_worker_is_replaced(jobs, tmp_path, wait_until):
    shape = {**SHAPE, "workers": 1}
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "100ms"}),
        connect("slurm", **shape, slurm={"interface": "lo"}, folder=tmp_path) as client,
    ):
        (first,) = client.run(os.getpid).values()
        os.killpg(int((jobs / "100" / "pid").read_text()), signal.SIGKILL)  # as at the end of its walltime
        wait_until((jobs / "101" / "pid").exists)
        assert client.submit(os.getpid).result(timeout=60) != first
    wait_until(lambda: not alive(int((jobs / "101" / "pid").read_text())))


def test_slurm__job_that_ends_at_once(jobs, tmp_path):
    asked = {"interface": "lo", "prologue": ["echo 'no module cuda/99' >&2", "exit 1"]}
    with (
        pytest.raises(InputError, match=r"every SLURM job ended before its worker came \(no module cuda/99\): see "),
        connect("slurm", **SHAPE, slurm=asked, folder=tmp_path),
    ):
        pass


def test_slurm__refused(jobs, tmp_path):
    install(jobs.parent / "bin" / "sbatch", REFUSING)
    with (
        pytest.raises(InputError, match=r"SLURM refuses a job \(sbatch: error: invalid partition .*: nowhere\)"),
        connect("slurm", **SHAPE, slurm={"interface": "lo", "partition": "nowhere"}, folder=tmp_path),
    ):
        pass


def test_slurm__answers_without_a_number(jobs, tmp_path):
    install(jobs.parent / "bin" / "sbatch", "#!/bin/bash\necho queued\n")
    with (
        pytest.raises(InputError, match=r"SLURM refuses a job \(Could not parse job id"),
        connect("slurm", **SHAPE, slurm={"interface": "lo"}, folder=tmp_path),
    ):
        pass


def test_slurm__not_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no sbatch on the PATH"), connect("slurm", **SHAPE, folder=tmp_path):
        pass


def test_slurm__a_folder_that_no_script_can_name(jobs, tmp_path):
    with (
        pytest.raises(InputError, match="has a character that a SLURM job script cannot hold"),
        connect("slurm", **SHAPE, folder=tmp_path / "my run; rm"),
    ):
        pass
    assert not (tmp_path / "my run; rm").exists()


def test_slurm__memory_of_a_job_must_be_given(jobs, tmp_path):
    with pytest.raises(InputError, match=r"cluster\.memory_limit is not set"), connect("slurm", folder=tmp_path):
        pass


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("echo PENDING; echo COMPLETED", True),
        ("echo COMPLETED; echo FAILED", False),
        ("true", False),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", True),
    ],
)
def test_any_at_work(jobs, answer, expected):
    install(jobs.parent / "bin" / "squeue", f"#!/bin/bash\n{answer}\n")
    assert slurm_module._any_at_work(["100", "101"]) is expected
