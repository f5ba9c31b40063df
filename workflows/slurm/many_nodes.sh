#!/bin/bash
# One run in one allocation of several nodes:  sbatch workflows/slurm/many_nodes.sh my_proteins.yaml [options ...]
#
# The first task is Dask's scheduler, the second the run, every other a worker: so 10 tasks are 8 workers.
# Needs pip install 'fantasia-dask[slurm]'. The scheduler of the allocation speaks no TLS: whoever has an account on these
# nodes can reach it. Where that matters, set cluster.kind: slurm in the configuration instead.
#SBATCH --job-name=fantasia-dask
#SBATCH --ntasks=10
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=4G
#SBATCH --time=12:00:00
#SBATCH --output=fantasia-dask-%j.log
set -euo pipefail

# Make the environment known here: module load ..., source .venv/bin/activate, or conda activate ...

export HF_HUB_OFFLINE=1        # weights were fetched ahead of time: fantasia-dask initialize my_proteins.yaml --models
# sbatch runs a copy of this script from a folder of its own; the file beside it is found from where it was submitted.
exec srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" python "${SLURM_SUBMIT_DIR:-.}/workflows/slurm/many_nodes.py" "$@"
