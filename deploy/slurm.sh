#!/usr/bin/env bash
# Training on two machines with eight GPUs each: sbatch deploy/slurm.sh --data data/imagenet --run-dir runs/imagenet-b1
#SBATCH --job-name=mnasnet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@180

# SIGTERM, three minutes before the time limit, makes all processes save a checkpoint.
# --kill-on-bad-exit ends the other processes when one dies: srun would not start it again.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 mnasnet train-imagenet --variant b1 --batch-size 2048 "$@" && exit
code=$?

# 2 is a fault that another start does not mend, for example a wrong flag.
if [ "$code" -ne 2 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then
    scontrol requeue "$SLURM_JOB_ID" # goes on from the last checkpoint
fi
exit "$code"
