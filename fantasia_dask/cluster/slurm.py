"""A cluster whose workers are SLURM jobs: the scheduler lives in this process, each job is one worker.

Whoever can reach a Dask scheduler can run code as its owner, and on a SLURM cluster that is everybody who has an
account. So all of them speak TLS, with certificates made for this one cluster and gone with it.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .checks import check_workers
from .started import LOOPBACK, served

if TYPE_CHECKING:
    from distributed import Client, Security

__all__ = ["slurm_cluster"]

BETWEEN_LOOKS = 5.0
"""Seconds between two looks at a queue in which jobs wait."""
AT_WORK = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "REQUEUED", "RESIZING")
"""States of jobs that may still become, or are, workers."""
PLAIN_PATH = re.compile(r"[\w./+@:,=-]+")
"""A job script names folders without quotes."""


@contextmanager
def slurm_cluster(
    workers: int | None,
    threads: int | None,
    memory_limit: int | str | None,
    asked: Mapping[str, Any],
    folder: Path,
    dashboard: bool,
    tell: Callable[[str], object],
    patience: float,
) -> Iterator[Client]:
    """Submit one job per worker, wait for the first, replace those that are lost, and cancel all of them at the end."""
    from distributed import Client

    logs = folder.absolute() / "slurm"
    _check_can_submit(logs)
    from dask_jobqueue import SLURMCluster

    if memory_limit is None:
        raise InputError("cluster.kind is slurm, but cluster.memory_limit is not set: expected that of a job.")
    show = served(dashboard)["scheduler_kwargs"]["dashboard"]
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        security = opened.enter_context(_certificates(logs))
        cluster = SLURMCluster(
            job_cls=_job_class(),
            cores=threads or 1,
            processes=1,
            memory=str(memory_limit),
            queue=asked.get("partition"),
            account=asked.get("account"),
            walltime=asked.get("walltime") or "01:00:00",
            interface=asked.get("interface"),
            job_extra_directives=list(asked.get("directives") or ()),
            job_script_prologue=list(asked.get("prologue") or ()),
            job_name="fantasia-dask",
            python=sys.executable,
            local_directory="${TMPDIR:-/tmp}",  # what a job spills stays on its node
            worker_extra_args=["--no-dashboard"],
            log_directory=str(logs),
            security=security,
            scheduler_options={"port": 0, "dashboard_address": f"{LOOPBACK}:0", "dashboard": show},
        )
        client = opened.enter_context(Client(opened.enter_context(cluster)))
        jobs = _submit(cluster, workers or 1)
        tell(f"SLURM job{'s' * (len(jobs) > 1)} {', '.join(jobs)}: waiting for the first worker")
        _wait(client, jobs, logs)
        check_workers(client, "the SLURM cluster", time.monotonic() + patience)
        opened.enter_context(_replacing(cluster, workers or 1))
        yield client


@contextmanager
def _certificates(folder: Path) -> Iterator[Security]:
    """Make certificates for one cluster, in a folder that only its owner can look into."""
    from distributed import Security

    made = Security.temporary()
    with tempfile.TemporaryDirectory(prefix=".certificates-", dir=folder) as place:
        files = {part: str(Path(place, f"{part}.pem")) for part in ("ca_file", "cert", "key")}
        Path(files["ca_file"]).write_text(made.tls_ca_file, encoding="ascii")
        Path(files["cert"]).write_text(made.tls_client_cert, encoding="ascii")
        Path(files["key"]).write_text(made.tls_client_key, encoding="ascii")
        roles = {
            f"tls_{role}_{part}": files[part] for role in ("scheduler", "worker", "client") for part in ("cert", "key")
        }
        yield Security(tls_ca_file=files["ca_file"], require_encryption=True, **roles)


def _check_can_submit(logs: Path) -> None:
    for package in ("dask_jobqueue", "cryptography"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"cluster.kind is slurm, but {package.replace('_', '-')} is not installed: run "
                "pip install 'fantasia-dask[slurm]', or start workers yourself and set cluster.scheduler_file."
            )
    if shutil.which("sbatch") is None:
        raise InputError(
            "cluster.kind is slurm, but there is no sbatch on the PATH: run on a node from which jobs are submitted, "
            "or set another cluster.kind."
        )
    for path in (str(logs), sys.executable):
        if not PLAIN_PATH.fullmatch(path):
            raise InputError(
                f"{path!r} has a character that a SLURM job script cannot hold: use folders named with letters, "
                "digits and . _ - alone."
            )


def _job_class() -> Any:
    """Make the class of a job that keeps what sbatch said against it: the cluster would only log a traceback."""
    from dask_jobqueue.slurm import SLURMJob
    from distributed.core import Status

    class Job(SLURMJob):  # type: ignore[misc, unused-ignore]
        refusal = ""

        async def start(self) -> None:
            try:
                await super().start()
            except (RuntimeError, ValueError) as error:  # sbatch failed, or answered without a number
                said = re.search(r"stderr:\n\s*(.+)", str(error))
                self.refusal = said[1] if said else str(error).splitlines()[0]
                self.status = Status.running

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed

    return Job


def _submit(cluster: Any, workers: int) -> list[str]:
    """Submit the jobs and return their numbers."""
    cluster.scale(workers)
    while len(cluster.workers) < workers:
        time.sleep(0.05)
    jobs = list(cluster.workers.values())
    for job in jobs:
        if job.refusal:
            raise InputError(
                f"SLURM refuses a job ({job.refusal}): check cluster.slurm, cluster.threads_per_worker and "
                "cluster.memory_limit."
            )
    return sorted((str(job.job_id) for job in jobs), key=lambda job: (len(job), job))


def _wait(client: Client, jobs: Sequence[str], logs: Path) -> None:
    """Wait for the first worker for as long as a job may become one."""
    from distributed import TimeoutError as NoWorkers

    while True:
        try:
            client.wait_for_workers(1, timeout=BETWEEN_LOOKS)
        except NoWorkers:
            if not _any_at_work(jobs):
                raise InputError(
                    f"every SLURM job ended before its worker came{_last_words(logs, jobs)}: see {logs}."
                ) from None
        else:
            return


@contextmanager
def _replacing(cluster: Any, workers: int) -> Iterator[None]:
    """Submit a job anew when its worker is lost, for instance at the end of its walltime.

    A job that ends before its worker came is not taken for one: it would only end again.
    """
    from tornado.ioloop import PeriodicCallback

    again = PeriodicCallback(lambda: cluster.scale(workers), BETWEEN_LOOKS * 1000)
    cluster.loop.add_callback(again.start)
    try:
        yield
    finally:
        cluster.loop.add_callback(again.stop)


def _any_at_work(jobs: Sequence[str]) -> bool:
    """Ask the queue whether jobs wait or run; where it cannot be asked, they may."""
    squeue = shutil.which("squeue")
    if squeue is None:
        return True
    question = [squeue, "--noheader", "--format=%T", f"--jobs={','.join(jobs)}"]
    answer = subprocess.run(question, capture_output=True, text=True, check=False)
    if answer.returncode:  # jobs that ended a while ago are unknown to it; a controller that is away is no answer
        return "invalid job id" not in answer.stderr.lower()
    return any(state.strip() in AT_WORK for state in answer.stdout.splitlines())


def _last_words(logs: Path, jobs: Sequence[str]) -> str:
    """Return the last line that a job wrote on its standard error, in brackets."""
    for job in jobs:
        for file in sorted(logs.glob(f"*-{job}.err")):
            lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
            said = [line.strip() for line in lines if line.strip()]
            if said:
                return f" ({said[-1]})"
    return ""
