#!/bin/bash
# One run on one node:  sbatch workflows/slurm/one_node.sh my_proteins.yaml [options of fantasia-dask run]
#SBATCH --job-name=fantasia-dask
#SBATCH --cpus-per-task=16
#SBATCH --mem=64G
#SBATCH --time=12:00:00
#SBATCH --output=fantasia-dask-%j.log
# A GPU, where the partition has some, and where the environment has the extra cuda13:
##SBATCH --gpus=1
set -euo pipefail

# Make the environment known here: module load ..., source .venv/bin/activate, or conda activate ...

export HF_HUB_OFFLINE=1        # weights were fetched ahead of time: fantasia-dask initialize my_proteins.yaml --models
exec fantasia-dask run "$@" \
    --set cluster.threads_per_worker="${SLURM_CPUS_PER_TASK:-1}" \
    --set cluster.memory_limit="${SLURM_MEM_PER_NODE:-4096}MB"
