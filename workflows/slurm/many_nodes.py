"""Run a configuration within a SLURM allocation: ``srun python many_nodes.py my_proteins.yaml``.

Every task of the allocation runs this file. dask-jobqueue's runner makes the first one the scheduler and all but the
second workers, which never come further than the ``with``; the second carries on and is the run.
"""

import os
import sys
import tempfile

from dask_jobqueue.slurm import SLURMRunner
from distributed import Client

from fantasia_dask.cli import main


def worker() -> dict[str, object]:
    """Describe a worker: the cores and the memory of its task, and a place on its own node for what it spills."""
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK", "1"))
    megabytes = int(os.environ.get("SLURM_MEM_PER_CPU", "0")) * cores
    return {
        "nthreads": cores,
        "memory_limit": f"{megabytes}MB" if megabytes else "auto",
        "local_directory": tempfile.gettempdir(),
        "dashboard": False,
    }


if __name__ == "__main__":
    with SLURMRunner(worker_options=worker(), scheduler_options={"port": 0, "dashboard": False}) as runner:
        with Client(runner) as client:
            client.wait_for_workers(runner.n_workers)
        main(["run", *sys.argv[1:], "--scheduler-file", str(runner.scheduler_file)])
