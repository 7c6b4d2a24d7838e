"""The tasks of a Slurm step as the processes of a run, by `tf.distribute`'s SlurmClusterResolver."""

from __future__ import annotations

import os
import re

from mnasnet_cli.errors import ConfigError

_FIRST_PORT, _PORTS_OF_A_JOB, _JOBS = 12_000, 64, 256  # below the ports that Linux gives to outgoing connections


def several_tasks() -> bool:
    """Return whether `srun` started this process as one of several tasks."""
    count = os.environ.get("SLURM_STEP_NUM_TASKS", "")
    return _number(count, "SLURM_STEP_NUM_TASKS") > 1 if count.isdecimal() else False


def read_tasks() -> tuple[tuple[str, ...], int]:
    """Return the addresses of the step's tasks as host:port, and the place of this process among them.

    Each job has its own ports, so that two jobs can share a machine.

    Raises:
      ConfigError: the variables that `srun` sets are missing or do not fit together.
    """
    import tensorflow as tf  # late: it takes seconds

    try:
        job = _number(os.environ.get("SLURM_JOB_ID"), "SLURM_JOB_ID")
        # Slurm gives each task its GPUs. The resolver would count them with nvidia-smi, which a CPU machine lacks.
        # Given as many GPUs as a machine can have tasks, it does not count.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=_FIRST_PORT + job % _JOBS * _PORTS_OF_A_JOB,
            gpus_per_node=_PORTS_OF_A_JOB,
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        addresses = tuple(resolver.cluster_spec().job_tasks("worker"))
        return addresses, _place(addresses, resolver.get_task_info()[1])
    # The resolver raises many kinds of errors for variables that are missing, no numbers or no lists of hosts.
    except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"the variables of Slurm (SLURM_STEP_*, SLURM_PROCID) do not describe the tasks of this run: {error}; "
            "start it with `srun`, or set TF_CONFIG"
        ) from None


def _number(text: str | None, name: str) -> int:
    """Return the number in a variable, 0 where it is not set. Raises ValueError."""
    if not text:
        return 0
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise ValueError(f"{name} is {text[:40]!r}, expected a number")
    return int(text)


def _place(addresses: tuple[str, ...], rank: int | None) -> int:
    """Return the index of this process's address.

    The resolver sorts hosts as text (n10 before n9) and takes Slurm's rank for the index. Slurm's own order differs, so
    the host's name and the number of the task on it decide where Slurm gives them.
    """
    host, task = os.environ.get("SLURMD_NODENAME"), _number(os.environ.get("SLURM_LOCALID"), "SLURM_LOCALID")
    if host:
        on_host = [index for index, address in enumerate(addresses) if address.rpartition(":")[0] == host]
        if task < len(on_host):
            return on_host[task]
        raise ValueError(f"task {task} of {host} is not among {', '.join(addresses[:4])}")
    if rank is None:
        raise ValueError(f"SLURM_PROCID is not below {len(addresses)}")
    return rank
