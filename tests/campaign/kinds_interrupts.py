"""Faults while a command writes: kills, signals, errors of the disk at a moment, clock jumps, folders that go away."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import checks
import child
import outputs
from commands import COMMANDS, lay_out, lay_out_one, words_of
from fault import Fault, Outcome

SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGHUP": signal.SIGHUP}
ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS", "EMFILE", "EDQUOT")
YEARS = 365 * 86400.0

# Faults of each command without and with TensorFlow, in a full and in a quick campaign. For a half a coin is thrown.
COUNTS = {
    "kill at a moment": ((16, 3), (2, 1)),
    "kill while writing": ((6, 2), (1, 0)),
    "kill at random": ((6, 2), (1, 0)),
    "signal": ((6, 2), (1, 0)),
    "stop and continue": ((2, 0.5), (0, 0)),
    "disk error at a moment": ((16, 3), (2, 0)),
    "clock jump": ((2, 0.5), (1, 0)),
    "folder removed or moved": ((4, 1), (1, 0)),
    "second process": ((3, 1), (1, 0)),
}
EXPENSIVE = {
    "train-imagenet",
    "train-coco",
    "export-saved-model",
    "export-timm",
    "export-torchvision",
}


def make(reference: dict[str, dict[str, Any]], quick: bool, rng: Random) -> Iterator[Fault]:
    """Yield the faults of all kinds for all commands that write."""
    for kind, counts in COUNTS.items():
        for name, command in COMMANDS.items():
            found = reference.get(name, {"skipped": ""})
            if "skipped" in found:
                continue
            count = drawn(counts[quick][command.warm], rng)
            if name in EXPENSIVE:
                count = (count + 1) // 2 if not quick else min(count, name.startswith("train"))
            for number, how in enumerate(_ways(kind, name, found, count, rng)):
                yield Fault(kind, name, number, rng.randrange(2**32), command.warm, how)


def drawn(count: float, rng: Random) -> int:
    """Return a number of faults; for 0.5 it is 0 or 1."""
    return int(count) + (count % 1 > 0 and rng.random() < count % 1)


def _ways(kind: str, name: str, found: dict[str, Any], count: int, rng: Random) -> Iterator[dict[str, Any]]:
    moments = len(found["moments"])
    if kind in ("kill at a moment", "kill while writing", "disk error at a moment", "folder removed or moved"):
        # Spread over the whole run: one in each of `count` equal parts.
        parts = min(count, moments)
        chosen = [rng.randrange(moments * i // parts, moments * (i + 1) // parts) for i in range(parts)]
    else:
        chosen = [0] * count
    for number, at in enumerate(chosen):
        share = rng.uniform(0.02, 1.0)
        if kind == "kill at a moment":
            yield {"injection": {"action": "die", "at": at}}
        elif kind == "kill while writing":
            yield {"injection": {"action": "die-soon", "at": at, "delay": 10 ** rng.uniform(-4, -1)}}
        elif kind == "kill at random":
            yield {"signal": "SIGKILL", "cpu": share * found["cpu"]}
        elif kind == "signal":
            yield {"signal": list(SIGNALS)[number % 3], "cpu": share * found["cpu"]}
        elif kind == "stop and continue":
            yield {"signal": "SIGSTOP", "cpu": share * found["cpu"]}
        elif kind == "disk error at a moment":
            code = getattr(errno, ERRORS[(number + len(name)) % len(ERRORS)])
            yield {"injection": {"action": "error", "at": at, "errno": code}}
        elif kind == "clock jump":
            yield {"injection": {"action": "clock", "seconds": rng.choice([-10 * YEARS, -3600.0, 3600.0, 12 * YEARS])}}
        elif kind == "folder removed or moved":
            path = rng.choice(["out", *COMMANDS[name].inputs])
            yield {"injection": {"action": rng.choice(["remove", "move"]), "at": at, "path": path}}
        elif kind == "second process":
            yield {"second": share}


def run(fault: Fault, template: Path, place: Path, reference: dict[str, dict[str, Any]]) -> list[str]:
    """Try a fault; return what was wrong."""
    command, found = COMMANDS[fault.command], reference[fault.command]
    lay_out(template, place, command)
    inputs = checks.inputs_of(place, command.inputs)
    words = words_of(command)
    if "second" in fault.how:
        outcomes = _twice(words, place, command.warm, fault.how["second"] * found["cpu"])
    else:
        outcomes = [_once(fault, words, place, command.warm)]
    hard = any(outcome.code is not None and outcome.code < 0 for outcome in outcomes)
    if command.training and any(outcome.code == -signal.SIGKILL for outcome in outcomes):
        fault.how["survived"] = 1  # `next_problems` compares the weights
    problems = []
    for outcome in outcomes:
        problems += checks.message_problems(outcome, _codes(fault))
    if fault.kind == "folder removed or moved":
        return problems + _after_removal(fault, template, place, inputs, found)
    problems += checks.file_problems(place, {}, found, hard=hard)
    if any(outcome.code == 0 for outcome in outcomes):
        problems += done_problems(place, found)
    problems += checks.next_problems(place, command, found)
    return problems + checks.input_problems(place, inputs, command.inputs)


def _codes(fault: Fault) -> set[int]:
    injection = fault.how.get("injection", {})
    if injection.get("action") in ("die", "die-soon") or fault.how.get("signal") == "SIGKILL":
        return checks.killed()
    if fault.how.get("signal") in SIGNALS:
        return {0} | checks.ended_by_signal(SIGNALS[fault.how["signal"]])
    if fault.kind in ("stop and continue", "clock jump"):
        return {0}
    return {0, 2}


def _once(fault: Fault, words: list[str], place: Path, warm: bool) -> Outcome:
    running = child.Running(words, place, warm=warm, injection=fault.how.get("injection"))
    if "signal" not in fault.how:
        return running.wait()
    number = getattr(signal, fault.how["signal"])
    return running.wait(at_cpu=fault.how["cpu"], act=lambda process: process.send(number))


def _twice(words: list[str], place: Path, warm: bool, second_at: float) -> list[Outcome]:
    """Run a command, and the same again in the same folder while the first is running."""
    second: list[child.Running] = []
    first = child.Running(words, place, warm=warm)
    outcome = first.wait(at_cpu=second_at, act=lambda _: second.append(child.Running(words, place, warm=warm)))
    return [outcome, *(running.wait() for running in second)]


def done_problems(place: Path, found: dict[str, Any]) -> list[str]:
    """A command that ended with 0 has written everything."""
    after = outputs.digests(place / "out")
    missing = [path for path in found["files"] if path not in after and "tfevents" not in path]
    return [f"ended with 0 without {path}" for path in missing[:3]]


def _after_removal(
    fault: Fault, template: Path, place: Path, inputs: dict[str, str], found: dict[str, Any]
) -> list[str]:
    """What was moved and what is there are whole; an input is put back, and then the next call works."""
    command, how = COMMANDS[fault.command], fault.how["injection"]
    target, moved = place / how["path"], place / "moved"
    problems = []
    if how["path"] == "out":
        for name in ("out", "moved"):
            problems += checks.file_problems(place, {}, found, hard=True, folder=name)
        if moved.exists():
            shutil.rmtree(moved)
    else:
        if moved.exists() and not target.exists():
            moved.rename(target)
        if not target.exists():
            lay_out_one(template, place, how["path"])
        problems += checks.file_problems(place, {}, found, hard=False)
    problems += checks.input_problems(place, inputs, command.inputs)
    return problems + checks.next_problems(place, command, found)
