"""The same run many times in a row, in one process or on one long-lived cluster; tells what each leaves behind.

``python tests/faults/soak.py FOLDER FORM RUNS`` runs ``FOLDER/config.yaml`` and prints a JSON line after each: of this
process and of every worker the resident memory, open files, threads and sockets, and the files that are left.
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import time
import warnings
from contextlib import nullcontext
from pathlib import Path

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


def long_lived(form: str):
    """Two worker processes that outlive every run; nothing in the form of one process."""
    if form == "process":
        return nullcontext()
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0"
    )


def main(home: Path, form: str, runs: int) -> None:
    from fantasia_dask import load_config, run
    from fantasia_dask.progress import Progress

    warnings.simplefilter("ignore")
    scratch = home / "scratch"
    with long_lived(form) as cluster:
        where = {"cluster.kind": "local"}
        if cluster is not None:
            where = {"cluster.kind": "address", "cluster.address": cluster.scheduler_address}
        pids = {"driver": psutil.Process().pid}
        pids |= {f"worker {name}": w.process.process.pid for name, w in (cluster.workers if cluster else {}).items()}
        for number in range(runs):
            begun = time.monotonic()
            config = load_config(home / "config.yaml", where | {"prefix": f"run{number}"})
            summary = run(config, progress=Progress(quiet=True))
            shutil.rmtree(config.run_folder)
            collect(cluster)
            print(
                json.dumps(
                    {
                        "seconds": round(time.monotonic() - begun, 1),
                        "annotated": summary.annotated,
                        "processes": {name: measured(pid) for name, pid in pids.items()},
                        "children": len(psutil.Process().children(recursive=True)),
                        "left": sorted(
                            path.relative_to(home).as_posix()
                            for folder in (scratch, home / "experiments", home / "here")
                            for path in folder.glob("*")
                        ),
                    }
                ),
                flush=True,
            )


def collect(cluster: object) -> None:
    """Let go of what nobody refers to, here and on the workers."""
    if cluster is not None:
        from distributed import Client

        def collected() -> int:
            import gc

            return gc.collect()

        with Client(cluster) as client:
            client.run(collected)
    gc.collect()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
