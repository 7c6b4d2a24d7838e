"""The promise of the training: however often it is killed, its weights are those of an undisturbed run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import checks
import child
import outputs
from commands import COMMANDS, TRAININGS, lay_out
from fault import Fault

KIND = "kills of one training"
EPOCHS = 5
CHAINS = (13, 1)  # of each task
KILLS = 4  # of each chain


def make(reference: dict[str, dict[str, Any]], quick: bool, rng: Random) -> Iterator[Fault]:
    """Yield trainings, each of which is killed several times."""
    for name in TRAININGS[: 1 if quick else 2]:
        for number in range(CHAINS[quick]):
            yield Fault(KIND, name, number, rng.randrange(2**32), True)


def words_of(name: str) -> list[str]:
    """Return the training, somewhat longer than that of the other kinds."""
    kept = [word for word in COMMANDS[name].words if not word.startswith("--epochs")]
    return [*kept, f"--epochs={EPOCHS}"]


def run(fault: Fault, template: Path, place: Path, reference: dict[str, dict[str, Any]]) -> list[str]:
    """Kill a training again and again, let it end, and compare its weights. One that ends before begins anew."""
    expected, rng = reference[fault.command]["chain"], Random(fault.seed)
    words, problems, kills = words_of(fault.command), [], 0
    ended = True
    while not problems and (kills < KILLS or not ended):
        if ended:
            shutil.rmtree(place, ignore_errors=True)
            lay_out(template, place, COMMANDS[fault.command])
        if kills < KILLS:
            at = rng.uniform(0.3, 0.75) * expected["cpu"]
            outcome = child.Running(words, place, warm=True).wait(at, lambda process: process.send(9))
            problems += checks.message_problems(outcome, checks.killed())
        else:
            outcome = child.run(words, place, warm=True)
            problems += checks.message_problems(outcome, {0})
        kills += outcome.code == -9
        ended = outcome.code == 0
        if ended and child.call_in_fork(outputs.weights_digest, place / "out/run") != expected["weights"]:
            problems.append(f"after {kills} kills the weights differ from those of an undisturbed training")
    fault.how["survived"] = kills
    return problems


def measure(name: str, template: Path, place: Path) -> dict[str, Any]:
    """Run the training undisturbed."""
    lay_out(template, place, COMMANDS[name])
    outcome = child.run(words_of(name), place, warm=True)
    weights = child.call_in_fork(outputs.weights_digest, place / "out/run")
    return {"cpu": outcome.cpu, "weights": weights, "code": outcome.code}
