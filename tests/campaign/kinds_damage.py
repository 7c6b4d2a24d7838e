"""Damaged versions of every file that a command reads."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import checks
import child
import damage
import outputs
from commands import COMMANDS, PREPARE, lay_out, lay_out_one
from fault import Command, Fault

KIND = "damaged file"
COUNTS = ((420, 40), (30, 2))  # without and with TensorFlow, in a full and in a quick campaign
HANG_CPU_SECONDS = 40.0

AMONG_WRITERS = (
    "prepare-imagenet", "prepare-coco", "report", "card", "runs-html", "inspect-imagenet", "inspect-coco", "import",
    "benchmark-android",
)  # fmt: skip


def _predict(format_name: str) -> Command:
    artifact = f"artifact/{format_name}"
    return Command(("predict", artifact, "pictures/1.jpg", "--json"), (artifact, "pictures"))


READERS = {
    **{name: COMMANDS[name] for name in AMONG_WRITERS},
    "inspect-run": Command(("inspect", "model", "--json"), ("model",)),
    "inspect-detector": Command(("inspect", "detector"), ("detector",)),
    "inspect-artifact": Command(("inspect", "artifact/tflite"), ("artifact/tflite",), False),
    "runs": Command(("runs", "model", "detector", "--json"), ("model", "detector"), False),
    "eval-run": Command(("eval", "model", "--data=data/imagenet", "--json"), ("model", "data/imagenet")),
    "eval-detector": Command(("eval", "detector", "--data=data/coco", "--json"), ("detector", "data/coco")),
    "predict-run": Command(("predict", "model", "pictures/1.jpg", "pictures/2.png", "--json"), ("model", "pictures")),
    "predict-tflite": _predict("tflite"),
    "predict-onnx": _predict("onnx"),
    "predict-frozen": _predict("frozen"),
    "predict-saved-model": _predict("saved-model"),
    "resume": Command((*COMMANDS["train-imagenet"].words[:-1], "--run-dir=model"), ("model", "data/imagenet")),
    "resume-preparation": Command(
        ("prepare-imagenet", "photos", "unfinished", *PREPARE, "--resume"), ("photos", "unfinished"), False
    ),
}  # fmt: skip
CONTINUED = ("resume", "resume-preparation")  # they write into their input
# Text that a change of bits turns into other valid text can't be noticed.
NUMBERS = re.compile(r"\.(tflite|onnx|pb|index|safetensors)$|\.data-\d{5}-of-\d{5}$|-\d{5}-of-\d{5}$|variables\.")


def _files(template: Path, command: Command, rng: Random) -> list[str]:
    """Return the files that a command may read, at most two of each sort."""
    by_sort: dict[str, list[str]] = {}
    for name in command.inputs:
        paths = [f"{name}/{path}" if path != "." else name for path in outputs.digests(template / name)]
        for path in paths:
            by_sort.setdefault(re.sub(r"\d+", "#", path.rpartition("/")[2]), []).append(path)
    return [path for paths in by_sort.values() for path in rng.sample(paths, min(2, len(paths)))]


def make(template: Path, quick: bool, rng: Random) -> Iterator[Fault]:
    """Yield faults that are spread over all readers, files and ways."""
    for warm in (False, True):
        every = [
            (name, path, way)
            for name, command in READERS.items()
            if command.warm == warm and all((template / name).exists() for name in command.inputs)
            for path in _files(template, command, rng)
            for way in damage.ways_of(path)
        ]
        chosen = rng.sample(every, min(len(every), COUNTS[quick][warm]))
        for number, (name, path, way) in enumerate(sorted(chosen)):
            yield Fault(KIND, name, number, rng.randrange(2**32), warm, {"path": path, "way": way})


def run(fault: Fault, template: Path, place: Path, reference: dict[str, dict[str, Any]]) -> list[str]:
    """Damage a file, and read it."""
    command = READERS[fault.command]
    lay_out(template, place, command)
    path = place / fault.how["path"]
    try:
        damage.ways_of(fault.how["path"])[fault.how["way"]](path, Random(fault.seed))
    except (ValueError, IndexError):  # an empty table has nothing to change
        path.write_bytes(b"")
    inputs = checks.inputs_of(place, command.inputs)
    outcome = child.run(list(command.words), place, warm=command.warm)
    problems = checks.message_problems(outcome, {0, 2})
    if outcome.cpu > HANG_CPU_SECONDS:
        problems.append(f"{outcome.cpu:.0f} s of processor time")
    problems += checks.file_problems(place, {}, {"same": {}, "files": []}, hard=False)
    if fault.command not in CONTINUED:
        problems += checks.input_problems(place, inputs, command.inputs)
    problems += _next_problems(fault, template, place, command, coped=outcome.code == 0)
    there = fault.how["way"] not in ("missing", "a folder")
    if outcome.code == 0 and there and NUMBERS.search(fault.how["path"]) and "--json" in command.words:
        problems += _silence_problems(template, place, command, outcome.out, outcome.err)
    return problems


def _next_problems(fault: Fault, template: Path, place: Path, command: Command, *, coped: bool) -> list[str]:
    """The next call works: as things are if the first one coped with the damage, else with the file put back."""
    if not coped:
        lay_out_one(template, place, fault.how["path"])
    outcome = child.run([*command.words, *command.again], place, warm=command.warm)
    codes = {2} if coped and command.refusal else {0}
    return [f"the next call: {problem}" for problem in checks.message_problems(outcome, codes)]


def _silence_problems(template: Path, place: Path, command: Command, out: str, err: str) -> list[str]:
    """Damaged numbers are noticed, or change nothing that the command says."""
    whole = place.parent / f"{place.name}.whole"
    try:
        lay_out(template, whole, command)
        expected = child.run(list(command.words), whole, warm=command.warm)
    finally:
        shutil.rmtree(whole, ignore_errors=True)
    if _plain(expected.out) != _plain(out) and "warning" not in err:
        return ["other numbers from a damaged file, without a word"]
    return []


def _plain(text: str) -> str:
    return re.sub(r'"(seconds|images_per_second|cpu_seconds)": [\d.e-]+', "", text)
