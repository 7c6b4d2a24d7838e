"""The two tasks, and what commands, folders and files of each are called."""

from __future__ import annotations

from typing import Any, Literal

TaskName = Literal["classification", "detection"]

DATASETS: dict[TaskName, str] = {"classification": "imagenet", "detection": "coco"}
"""The data set that names a task's commands, folders and recipes, and the kind of its records."""

MODEL_KINDS: dict[TaskName, str] = {"classification": "classifier", "detection": "detector"}
"""What a model of the task is called: `kind` in manifests and in JSON."""


def parse_task(word: Any) -> TaskName:
    """Return the task that a word of a file names. Files of version 0.x say "imagenet", "coco", or the model's kind.

    Raises:
      ValueError: the word names no task.
    """
    for task in DATASETS:
        if word in (task, DATASETS[task], MODEL_KINDS[task]):
            return task
    raise ValueError(f"unknown task {word!r} (known: {', '.join(DATASETS)})")
