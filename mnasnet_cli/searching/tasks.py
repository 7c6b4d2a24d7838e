"""The tasks of a search, and their results as the store keeps them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from mnasnet_cli.system.documents import Unreadable, validate

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
      key: names it; letters, digits and dashes.
      kind: "parts" and "nets" measure latencies, "time" measures the speed of trainings, "train" trains and scores.
      payload: what the work is about, as JSON has it.
    """

    key: str
    kind: str
    payload: Mapping[str, Any]


def keyed_task(label: str, kind: str, payload: Mapping[str, Any]) -> Task:
    """Return a task whose key ends with a digest of what it is about, so that no other result can stand for its own."""
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
    return Task(f"{label}-{digest[:8]}", kind, payload)


def training_key(search: str, net: str, rung: int, seed: int) -> str:
    """Return the key of a training. search: of one latency; rung: from 0."""
    return f"train-{search}-{net}-rung{rung + 1}-seed{seed}"


def rung_of(key: str) -> int | None:
    """Return the rung of a training, from 0; None for the key of another task."""
    found = re.fullmatch(r"train-.+-rung(\d+)-seed\d+", key)
    return int(found[1]) - 1 if found else None


class Latencies(TypedDict):
    """Of tasks "parts" and "nets", in the order of the task's parts or nets."""

    ms: list[Amount]
    busy: Amount
    """Time on the clock over processor time; 1 on an idle machine."""
    seconds: Amount


class Speeds(TypedDict):
    """Of a task "time"."""

    by_rung: list[Amount]
    """Seconds of a training in each rung."""
    seconds: Amount


class Trained(TypedDict):
    """Of a task "train"."""

    score: Share
    """Top-1 on the training images that were held out, in [0, 1]; 0 if the training diverged."""
    validation: Share | None
    """Top-1 on the validation split; None before the last rung."""
    diverged: bool
    seconds: Amount


RESULT_TYPES: dict[str, Any] = {"parts": Latencies, "nets": Latencies, "time": Speeds, "train": Trained}
# What a result has one of for each of what the task is about.
_LISTS = {"parts": ("ms", "parts"), "nets": ("ms", "nets"), "time": ("by_rung", "trainings")}


def read_result(key: str, tree: Any, source: object, remedy: str) -> dict[str, Any]:
    """Return a stored result as the type that its key names. Raises Unreadable if it is another one."""
    kind = key.partition("-")[0]
    if kind not in RESULT_TYPES:
        raise Unreadable(source, "is no result of a search", remedy)
    return dict(validate(tree, RESULT_TYPES[kind], source, remedy))


class Pending(Exception):
    """Results are missing. tasks: what makes them; they can be done in any order and at the same time."""

    def __init__(self, tasks: list[Task]) -> None:
        super().__init__(f"{len(tasks)} tasks")
        self.tasks = tasks


def need(found: Mapping[str, Any], tasks: Iterable[Task]) -> list[Any]:
    """Return the results of tasks, in their order.

    Raises:
      Pending: some have not been done yet.
      Unreadable: a result is that of another task.
    """
    wanted = list(tasks)
    missing = [task for task in wanted if task.key not in found]
    if missing:
        raise Pending(missing)
    for task in wanted:
        if task.kind in _LISTS:
            name, about = _LISTS[task.kind]
            has, expected = len(found[task.key][name]), len(task.payload[about])
            if has != expected:
                raise Unreadable(
                    f"the result of {task.key}", f"has {has} values of {name!r}, expected {expected}",
                    f"remove results/{task.key}.json; its task is then done again",
                )  # fmt: skip
    return [found[task.key] for task in wanted]
