"""The types of a run's files, and their readers. docs/reference/run-directory.md describes the keys.

`config.yaml` is what makes a folder a run, so damage to it is an error. All other files only inform: a file that is
missing or damaged counts as absent, and a damaged line of `metrics.jsonl` is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Required, cast

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from mnasnet_cli.config.distillation import TeacherRecord
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.console import warn_once
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.system.documents import (
    MAX_YAML_BYTES,
    JsonObject,
    Missing,
    Unreadable,
    parse_json,
    parse_yaml,
    read_bytes,
    read_sound_json,
    read_text,
    validate,
)

CONFIG_FILE = "config.yaml"
ENVIRONMENT_FILE = "environment.json"
METRICS_FILE = "metrics.jsonl"
RESULTS_FILE = "results.json"
TIME_FILE = "time.json"
EVALUATION_FILE = "evaluation.json"

_OTHER_KEYS = ConfigDict(extra="allow")  # of later versions


class Scores(TypedDict, total=False):
    """Numbers of an evaluation; None where COCO leaves them undefined."""

    loss: float | None
    top1: float | None
    top5: float | None
    AP: float | None
    AP50: float | None
    AP75: float | None
    AP_small: float | None
    AP_medium: float | None
    AP_large: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    AR_small: float | None
    AR_medium: float | None
    AR_large: float | None


@with_config(_OTHER_KEYS)
class MetricsLine(Scores, total=False):
    """A line of metrics.jsonl."""

    step: Required[int]
    split: Required[str]
    epoch: float
    learning_rate: float
    teacher_loss: float
    images_per_second: float
    seconds: float
    cpu_seconds: float


@with_config(_OTHER_KEYS)
class ClassScores(TypedDict, total=False):
    """The scores of one class."""

    name: Required[str]
    examples: int
    annotations: int
    top1: float | None
    AP: float | None
    AP50: float | None
    precision: float | None
    recall: float | None
    f1: float | None


# A key with the name of a Python keyword.
_ClassKey = TypedDict("_ClassKey", {"class": Required[int | str]}, total=False)


class ClassRow(ClassScores, _ClassKey, total=False):
    """The class and its scores."""


@with_config(_OTHER_KEYS)
class Results(Scores, total=False):
    """results.json: the last evaluation and the cost of the training."""

    per_class: list[ClassRow]
    examples: int
    images: int
    steps: int
    seconds: float
    cpu_seconds: float
    stopped_early: bool
    teacher: TeacherRecord
    best_top1: float | None
    best_AP: float | None


@with_config(_OTHER_KEYS)
class RecordedData(TypedDict, total=False):
    """The records of a training, in environment.json."""

    directory: str
    fingerprint: str


@with_config(_OTHER_KEYS)
class Environment(TypedDict, total=False):
    """environment.json: where and how a training was started."""

    data: RecordedData
    init: str | None
    teacher: TeacherRecord | None
    command: list[str]
    accelerators: list[str]
    memory_gb: float | None
    cpus: int | None
    versions: dict[str, str | None]


@with_config(_OTHER_KEYS)
class Picture(TypedDict, total=False):
    """An image of evaluation.json with its answer."""

    file: Required[str]
    jpeg: Required[str]
    true: str
    predicted: str
    confidence: float
    f1: float
    annotated: int
    correct: int
    wrong: int


class Curves(TypedDict, total=False):
    """Precision over recall, by IoU."""

    recall: Required[list[float]]
    precision: Required[dict[str, list[float]]]


@with_config(_OTHER_KEYS)
class RunEvaluation(TypedDict, total=False):
    """evaluation.json: the last evaluation by class and by image."""

    task: Required[TaskName]
    classes: Required[list[ClassRow]]
    confusion: list[tuple[int, int, int]]
    pictures: dict[Literal["best", "worst"], list[Picture]]
    score_threshold: float
    curves: Curves


class Times(TypedDict, total=False):
    """time.json: how long all sessions of a run took, s."""

    seconds: float
    cpu_seconds: float


def read_config(run_dir: Path) -> dict[str, Any] | None:
    """Return a run's configuration as nested dictionaries; None if there is no run.

    Runs of versions that had one order of the training images only go on in it: `data.order` is then `buffer`.

    Raises:
      ConfigError: config.yaml is damaged.
    """
    path = run_dir / CONFIG_FILE
    try:
        tree = validate(parse_yaml(read_text(path, MAX_YAML_BYTES), path), JsonObject, path)
        if isinstance(tree.get("data"), dict):
            tree["data"].setdefault("order", "buffer")
        return tree
    except Missing:
        return None
    except Unreadable as error:
        raise ConfigError(
            f"{path} is damaged: it {error.reason}; restore it, or start over with --fresh, which moves the old run "
            "aside"
        ) from None


def read_metrics(run_dir: Path) -> list[MetricsLine]:
    """Return the lines of metrics.jsonl. Damaged lines are skipped; a killed process may leave one cut short."""
    path = run_dir / METRICS_FILE
    try:
        content = read_bytes(path)
    except Missing:
        return []
    except Unreadable as error:
        warn_once(f"{error}; the metrics so far are left out")
        return []
    lines, damaged = [], 0
    for line in content.split(b"\n"):
        try:
            if line.strip():
                found = parse_json(line, path)
                valid = validate(found, MetricsLine, path)
                # In the order and with the numbers of the file: a resumed run writes them again.
                lines.append(cast(MetricsLine, {**found, **{k: v for k, v in valid.items() if v != found[k]}}))
        except Unreadable as error:
            damaged += 1
            if damaged == 1:
                first = error.reason
    if damaged:
        what = "a damaged line, which is" if damaged == 1 else f"{damaged:,} damaged lines, which are"
        warn_once(f"{path} has {what} skipped: it {first}")
    return lines


def scores_in(lines: Iterable[MetricsLine], metric: str) -> list[float]:
    """Return the values of a metric, such as "AP", in the lines that have it."""
    values = [cast(Mapping[str, Any], line).get(metric) for line in lines]
    return [float(value) for value in values if value is not None]


def read_environment(run_dir: Path) -> Environment:
    """Return environment.json; {} if it is missing or damaged."""
    return read_sound_json(run_dir / ENVIRONMENT_FILE, Environment) or {}


def read_results(run_dir: Path) -> Results | None:
    """Return results.json; None if it is missing or damaged."""
    return read_sound_json(run_dir / RESULTS_FILE, Results)


def read_evaluation(run_dir: Path, task: TaskName) -> RunEvaluation | None:
    """Return evaluation.json; None if it is missing, damaged, or of another task."""
    found = read_sound_json(run_dir / EVALUATION_FILE, RunEvaluation)
    return found if found is not None and _is_consistent(found, task) else None


def _is_consistent(found: RunEvaluation, task: TaskName) -> bool:
    """Return whether the places of confusions, the points of curves and the keys fit the classes and the task."""
    places = len(found["classes"]) + (task == "detection")
    curves = found.get("curves")
    keys = ("f1", "annotated", "correct", "wrong") if task == "detection" else ("true", "predicted", "confidence")
    count = "annotations" if task == "detection" else "examples"
    pictures = [one for images in found.get("pictures", {}).values() for one in images]
    return (
        found["task"] == task
        and (task != "detection" or "score_threshold" in found)
        and all(0 <= place < places for cell in found.get("confusion", ()) for place in cell[:2])
        and (not curves or all(len(one) == len(curves["recall"]) for one in curves["precision"].values()))
        and all(key in one for one in pictures for key in keys)
        and all(count in row for row in found["classes"])
    )


def read_times(run_dir: Path) -> Times:
    """Return time.json; {} if it is missing or damaged."""
    return read_sound_json(run_dir / TIME_FILE, Times) or {}
