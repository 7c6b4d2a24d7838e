"""Faults of a training on two processes: one is killed, stopped, late, missing, or started with other settings."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import checks
import child
import outputs
from commands import COMMANDS, lay_out
from fault import Fault, Outcome
from local_cluster import free_addresses, tf_config

KIND = "two workers"
COMMAND = "train-imagenet"
WAYS = ("killed", "stopped", "late", "wrong", "missing")
ROUNDS = (1, 0)  # of all ways and both ranks, in a full and in a quick campaign
MISSING_SECONDS, PAUSE_SECONDS = 5, 3.0


def make(reference: dict[str, dict[str, Any]], quick: bool, rng: Random) -> Iterator[Fault]:
    """Yield each way for each rank."""
    number = 0
    for _ in range(ROUNDS[quick]):
        for way in WAYS:
            for rank in (0, 1):
                how = {"way": way, "rank": rank, "share": rng.uniform(0.2, 0.9)}
                yield Fault(KIND, COMMAND, number, rng.randrange(2**32), True, how)
                number += 1


def _start(place: Path, addresses: list[str], rank: int, *more: str, wait: int = 120) -> child.Running:
    environment = {
        "TF_CONFIG": tf_config(addresses, rank), "CUDA_VISIBLE_DEVICES": "-1", "MNASNET_WAIT_SECONDS": str(wait),
    }  # fmt: skip
    return child.Running([*COMMANDS[COMMAND].words, *more], place, warm=True, environment=environment)


def measure(template: Path, place: Path) -> dict[str, Any]:
    """Run the training on two processes undisturbed."""
    lay_out(template, place, COMMANDS[COMMAND])
    addresses = free_addresses(2)
    outcomes = [running.wait() for running in [_start(place, addresses, rank) for rank in (0, 1)]]
    weights = child.call_in_fork(outputs.weights_digest, place / "out/run")
    return {"codes": [each.code for each in outcomes], "cpu": outcomes[0].cpu, "weights": weights}


def run(fault: Fault, template: Path, place: Path, reference: dict[str, dict[str, Any]]) -> list[str]:
    """Try a fault; return what was wrong."""
    lay_out(template, place, COMMANDS[COMMAND])
    expected = reference[COMMAND]["pair"]
    addresses, rank, way = free_addresses(2), fault.how["rank"], fault.how["way"]
    if way == "missing":
        outcome = _start(place, addresses, 1 - rank, wait=MISSING_SECONDS).wait()
        return checks.message_problems(outcome, {2})
    other = _start(place, addresses, 1 - rank, wait=MISSING_SECONDS * 4 if way == "wrong" else 120)
    if way == "late":
        time.sleep(PAUSE_SECONDS)
    one = _start(place, addresses, rank, *(["--seed=99"] if way == "wrong" else []), wait=20 if way == "wrong" else 120)
    outcomes: list[Outcome] = []
    if way in ("killed", "stopped"):
        outcomes += _disturb(one, way, fault.how["share"] * expected["cpu"])
        if way == "killed" and outcomes[0].code != 0:
            outcomes[:] = [_start(place, addresses, rank).wait()]  # whoever started it starts it again
    else:
        outcomes.append(one.wait())
    outcomes.append(other.wait())
    problems = []
    for outcome in outcomes:
        problems += checks.message_problems(outcome, {2} if way == "wrong" else {0})
    problems += checks.file_problems(place, {}, {"same": {}, "files": []}, hard=True)
    if way != "wrong" and child.call_in_fork(outputs.weights_digest, place / "out/run") != expected["weights"]:
        problems.append("the weights differ from those of an undisturbed training on two processes")
    return problems


def _disturb(process: child.Running, way: str, at: float) -> list[Outcome]:
    def act(running: child.Running) -> None:
        if way == "killed":
            running.send(signal.SIGKILL)
            return
        os.kill(running.pid, signal.SIGSTOP)
        time.sleep(PAUSE_SECONDS)
        os.kill(running.pid, signal.SIGCONT)

    return [process.wait(at, act)]
