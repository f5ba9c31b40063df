"""The same run many times in a row, in one process or on one long-lived cluster; tells what each leaves behind.

``python tests/faults/soak.py FOLDER FORM RUNS`` runs ``FOLDER/config.yaml`` and prints a JSON line after each: of this
process and of every worker the resident memory, open files, threads and sockets, and the files that are left.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil


def measured(pid: int) -> dict[str, int]:
    """What a process holds: memory in bytes, and numbers of files, threads, sockets, listening ports."""
    process = psutil.Process(pid)
    with process.oneshot():
        sockets = process.net_connections()
        return {
            "rss": process.memory_info().rss,
            "files": process.num_fds(),
            "threads": process.num_threads(),
            "sockets": len(sockets),
            "listening": sum(socket.status == psutil.CONN_LISTEN for socket in sockets),
        }


@contextmanager
def long_lived(form: str) -> Iterator[dict[str, Any]]:
    """A cluster of two worker processes that outlives every run, in processes of its own; none for one process."""
    if form == "process":
        yield {"address": None, "pids": {}}
        return
    command = [sys.executable, "-W", "ignore", __file__, "--cluster"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def serve() -> None:
    """Be that cluster until standard input ends."""
    from distributed import LocalCluster

    anywhere = "127.0.0.1:0"
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=anywhere, worker_dashboard_address=anywhere
    ) as cluster:
        pids = {"scheduler": os.getpid()}
        pids |= {f"worker {name}": nanny.process.process.pid for name, nanny in cluster.workers.items()}
        print(json.dumps({"address": cluster.scheduler_address, "pids": pids}), flush=True)
        sys.stdin.read()


def main(home: Path, form: str, runs: int) -> None:
    from fantasia_dask import load_config, run
    from fantasia_dask.progress import Progress

    warnings.simplefilter("ignore")
    with long_lived(form) as cluster:
        address = cluster["address"]
        where = {"cluster.kind": "address", "cluster.address": address} if address else {"cluster.kind": "local"}
        pids = {"driver": os.getpid(), **cluster["pids"]}
        for number in range(runs):
            begun = time.monotonic()
            config = load_config(home / "config.yaml", where | {"prefix": f"run{number}"})
            summary = run(config, progress=Progress(quiet=True))
            shutil.rmtree(config.run_folder)
            collect(address)
            told = {
                "seconds": round(time.monotonic() - begun, 1),
                "annotated": summary.annotated,
                "processes": {name: measured(pid) for name, pid in pids.items()},
                "children": len(psutil.Process().children(recursive=True)),
                "left": sorted(
                    path.relative_to(home).as_posix()
                    for folder in (home / "scratch", home / "experiments", home / "here")
                    for path in folder.glob("*")
                ),
            }
            print(json.dumps(told), flush=True)


def collect(address: str | None) -> None:
    """Let go of what nobody refers to, here and on the workers."""
    if address is not None:
        from distributed import Client

        def collected() -> int:
            import gc

            return gc.collect()

        with Client(address) as client:
            client.run(collected)
            client.run_on_scheduler(collected)
    gc.collect()


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["--cluster"] else main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
