"""The four checks after each fault: nothing lost, nothing half-written, the next command works, one clear line."""

from __future__ import annotations

import re
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Any

import child
import commands
import outputs
from fault import Command, Outcome

MAX_PEAK_MB = 2500
NOISE = re.compile(
    r"^[EWIF]\d{4} |^\d{4}-\d\d-\d\d.*: [EWF] |Traceback \(most recent call last\)|UserWarning|^terminate called"
)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")


def message_problems(outcome: Outcome, codes: Collection[int]) -> list[str]:
    """Check the exit code, and that an error is one clear line. A killed process needs neither."""
    if outcome.code is None:
        return [f"it hung: no end after {outcome.seconds:.0f} s"]
    problems = []
    if outcome.code not in codes:
        problems.append(f"exit code {outcome.code}, expected one of {sorted(codes)}: {_last(outcome)}")
    if outcome.peak_mb > MAX_PEAK_MB:
        problems.append(f"{outcome.peak_mb} MB of memory")
    lines = outcome.err.splitlines()
    noise = [line for line in lines if NOISE.search(line)]
    if noise:
        problems.append(f"noise on standard error: {noise[0][:200]}")
    if "internal error" in outcome.err:
        problems.append(f"an internal error: {_last(outcome)}")
    if CONTROL.search(outcome.err.replace("\r", "")) or CONTROL.search(outcome.out):
        problems.append("control characters in the output")
    errors = [line for line in lines if line.startswith("error: ")]
    if outcome.code in (1, 2, 3) and (len(errors) != 1 or (lines and lines[-1] != errors[-1])):
        problems.append(f"{len(errors)} error lines, expected one at the end: {_last(outcome)}")
    return problems


def _last(outcome: Outcome) -> str:
    return (outcome.err.strip().splitlines() or ["no message"])[-1][:300]


def ended_by_signal(number: int) -> set[int]:
    """Return the exit codes of a process that a signal may end: handled, or by the signal itself."""
    return {128 + number, -number}


def killed() -> set[int]:
    """Return the exit codes of a killed process; 0 if it was done before."""
    return {0, -signal.SIGKILL, -signal.SIGALRM}


def file_problems(
    place: Path, before: dict[str, str], reference: dict[str, Any], *, hard: bool, folder: str = "out"
) -> list[str]:
    """Check that each file under a final name is whole. hard: the process could not clean up."""
    problems = []
    out = place / folder
    for path, found in outputs.digests(out).items():
        if before.get(path) == found or reference["same"].get(path) == found:
            continue
        if outputs.is_temporary(path):
            if not hard and path not in reference["files"] and "unfinished-" not in path:
                problems.append(f"left over: {path}")
        elif fault := outputs.fault_of(out / path):
            problems.append(f"half-written: {path}: {fault}")
    return problems


def input_problems(place: Path, before: dict[str, str], names: Collection[str]) -> list[str]:
    """Check that the inputs are as they were."""
    after = inputs_of(place, names)
    changed = [path for path, found in before.items() if after.get(path) != found]
    added = [path for path in after if path not in before]
    problems = [f"lost or changed: {path}" for path in changed[:3]]
    return problems + [f"written among the inputs: {path}" for path in added[:3]]


def inputs_of(place: Path, names: Collection[str]) -> dict[str, str]:
    """Return the digests of all inputs."""
    found = {}
    for name in names:
        if (place / name).exists():
            files = outputs.digests(place / name).items()
            found.update({f"{name}/{path}": value for path, value in files if not outputs.is_remade(path)})
    return found


def next_problems(place: Path, command: Command, reference: dict[str, Any]) -> list[str]:
    """Check that the next call works, writes all that an undisturbed one writes, and clears what was left."""
    outcome = child.run(commands.words_of(command, again=True), place, warm=command.warm)
    # A command that refuses to overwrite says so: then what is there must be whole.
    refused = outcome.code == 2 and command.refusal and command.refusal in _last(outcome)
    if outcome.code != 0 and not refused:
        return [f"the next call ended with {outcome.code}: {_last(outcome)}"]
    problems = [f"the next call: {problem}" for problem in message_problems(outcome, {0, 2})]
    after = outputs.digests(place / "out")
    if "tfevents" not in "".join(reference["files"]):
        missing = [path for path in reference["files"] if path not in after]
        problems += [f"the next call did not write {path}" for path in missing[:3]]
    other = [path for path, found in reference["same"].items() if path in after and after[path] != found]
    problems += [f"the next call wrote another {path}" for path in other[:3] if not path.endswith(".log")]
    left = [path for path in after if outputs.is_temporary(path) and path not in reference["files"]]
    problems += [f"the next call left {path}" for path in left[:3]]
    if command.training:
        weights = child.call_in_fork(outputs.weights_digest, place / "out/run")
        if weights != reference["weights"]:
            problems.append("the weights differ from those of an undisturbed training")
    return problems
