"""What tasks give, as the store keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import TypedDict

from mnasnet_cli.search.store import Task
from mnasnet_cli.system.documents import validate


class Latencies(TypedDict):
    """Of tasks "parts" and "nets", in the order of the task's parts or nets."""

    ms: list[float]
    busy: float
    """Time on the clock over processor time; 1 on an idle machine."""
    seconds: float


class Speeds(TypedDict):
    """Of a task "time"."""

    by_rung: list[float]
    """Seconds of a training in each rung."""
    seconds: float


class Trained(TypedDict):
    """Of a task "train"."""

    score: float
    """Top-1 on the training images that were held out, in [0, 1]; 0 if the training diverged."""
    validation: float | None
    """Top-1 on the validation split; None before the last rung."""
    diverged: bool
    seconds: float


KINDS: dict[str, Any] = {"parts": Latencies, "nets": Latencies, "time": Speeds, "train": Trained}


class Pending(Exception):
    """Results are missing. tasks: what makes them; they can be done in any order and at the same time."""

    def __init__(self, tasks: list[Task]) -> None:
        super().__init__(f"{len(tasks)} tasks")
        self.tasks = tasks


def need(found: Mapping[str, Any], tasks: Iterable[Task]) -> list[Any]:
    """Return the results of tasks, in their order.

    Raises:
      Pending: some have not been done yet.
      Unreadable: a result is damaged.
    """
    wanted = list(tasks)
    missing = [task for task in wanted if task.key not in found]
    if missing:
        raise Pending(missing)
    return [validate(found[task.key], KINDS[task.kind], f"the result of {task.key}") for task in wanted]
