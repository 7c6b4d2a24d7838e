"""The cluster of a multi-worker run from TF_CONFIG or Slurm, and the restart of a process that lost another one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
from dataclasses import dataclass
from typing import Any, NoReturn

from mnasnet_cli.console import say
from mnasnet_cli.distributed import slurm
from mnasnet_cli.errors import ConfigError, EnvironmentProblem
from mnasnet_cli.system.documents import JsonObject, Unreadable, parse_json, validate

WAIT_VARIABLE = "MNASNET_WAIT_SECONDS"
WAIT_SECONDS = 600.0  # how long a process waits for the others, unless the variable sets it
RESTARTS_VARIABLE = "MNASNET_RESTARTS"
MAX_RESTARTS = 10  # in a row, each within WAIT_SECONDS of training
_EXAMPLE = '{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}'


class PeerLost(EnvironmentProblem):
    """Another process of the run ended or can't be reached; the run can resume from its last checkpoint."""


@dataclass(frozen=True)
class Cluster:
    """The addresses of a run's processes by rank, the chief first, and the rank of this process."""

    addresses: tuple[str, ...] = ("",)
    rank: int = 0

    @property
    def several(self) -> bool:
        return len(self.addresses) > 1

    @property
    def chief(self) -> bool:
        """Whether this process writes to the run directory."""
        return self.rank == 0

    def tf_config(self) -> str:
        """Return the cluster as the text of TF_CONFIG."""
        task = {"type": "worker", "index": self.rank}
        return json.dumps({"cluster": {"worker": self.addresses}, "task": task})


def read_cluster() -> Cluster:
    """Return the cluster of TF_CONFIG, or that of the Slurm step if there is no TF_CONFIG.

    It is a cluster of this process alone if TF_CONFIG or the step names only one.

    Raises:
      ConfigError: TF_CONFIG is not valid for `tf.distribute`, or has tasks other than chief and worker; or Slurm's
        variables do not fit together.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text and slurm.several_tasks():
        return Cluster(*slurm.read_tasks())
    try:
        config = validate(parse_json(text or "{}", "it"), JsonObject, "it")
        cluster = config.get("cluster") or {}
        if not isinstance(cluster, dict):
            raise ValueError("'cluster' must be an object")
        chiefs, workers = (_addresses(cluster, job) for job in ("chief", "worker"))
        if unknown := sorted(set(cluster) - {"chief", "worker"}):
            raise ValueError(f"the task type {unknown[0]!r} is not supported, only 'chief' and 'worker' are")
        addresses = (*chiefs, *workers)
        if len(chiefs) > 1 or len(set(addresses)) < len(addresses):
            raise ValueError("there is more than one chief" if len(chiefs) > 1 else "an address occurs twice")
        if len(addresses) < 2:
            return Cluster()
        task = validate(config["task"], JsonObject, "'task'")
        kind, index = str(task["type"]), task["index"]
        tasks = {"chief": chiefs, "worker": workers}.get(kind, ())
        if type(index) is not int or not 0 <= index < len(tasks):
            raise ValueError(f"the task {kind} {index} is not in the cluster")
        return Cluster(addresses, index + (len(chiefs) if kind == "worker" else 0))
    except KeyError as error:
        problem = f"{error} is missing"
    except (ValueError, Unreadable) as error:
        problem = str(error)
    raise ConfigError(f"TF_CONFIG is not valid ({problem}); expected {_EXAMPLE}")


def _addresses(cluster: dict[str, Any], job: str) -> tuple[str, ...]:
    found = cluster.get(job) or []
    if not isinstance(found, list) or not all(isinstance(address, str) for address in found):
        raise ValueError(f"{job!r} must be a list of addresses")
    for address in found:
        host, _, port = address.rpartition(":")
        if not host or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 0 < int(port) < 65536:
            raise ValueError(f"{address!r} is not host:port")
    return tuple(found)


def wait_seconds() -> float:
    """Return how long to wait for other processes.

    Raises:
      ConfigError: the environment variable is not a positive number.
    """
    text = os.environ.get(WAIT_VARIABLE, "")
    with contextlib.suppress(ValueError):
        seconds = float(text or WAIT_SECONDS)
        if 0.0 < seconds < float("inf"):
            return seconds
    raise ConfigError(f"{WAIT_VARIABLE} is {text!r}, expected a number of seconds")


def restart(problem: PeerLost, trained_seconds: float) -> NoReturn:
    """Replace this process by its own command line without --fresh, which resumes from the last checkpoint.

    Raises:
      EnvironmentProblem: too many restarts in a row, with little training in between.
    """
    before = os.environ.get(RESTARTS_VARIABLE, "")
    count = 1 + (int(before) if before.isascii() and before.isdecimal() and len(before) < 9 else 0)
    if trained_seconds > WAIT_SECONDS:
        count = 1
    if count > MAX_RESTARTS:
        raise EnvironmentProblem(f"{problem}; this process ends after {MAX_RESTARTS} restarts in a row")
    say(f"{problem}; restarting, to resume from the last checkpoint with all processes")
    os.environ[RESTARTS_VARIABLE] = str(count)
    sys.stdout.flush()
    sys.stderr.flush()
    threading.excepthook = lambda _: None  # threads of TensorFlow's pools lose their pipes now
    os.closerange(3, max(os.sysconf("SC_OPEN_MAX"), 65536))  # for example the sockets of TensorFlow's server
    os.execv(sys.executable, [sys.executable, *(word for word in sys.orig_argv[1:] if word != "--fresh")])
