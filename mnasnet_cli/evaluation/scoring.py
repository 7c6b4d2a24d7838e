"""Scores a model of any format on a whole validation split, every example once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mnasnet_cli.console import progress
from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.inference.runner import Runner
from mnasnet_cli.tasks.base import Evaluation, Task
from mnasnet_cli.tasks.failures import clear_errors


def score(task: Task, batch_size: int, outputs_of: Callable[[Any], Mapping[str, Any]]) -> Evaluation:
    """What a task makes of a whole validation split; `outputs_of` answers a batch with what `eval_outputs` would."""
    found: dict[str, list[np.ndarray]] = {}
    with clear_errors(task), progress("evaluate", task.eval_examples) as bar:
        for number, batch in enumerate(task.eval_batches(Share(batch_size)), 1):
            for name, values in outputs_of(batch).items():
                found.setdefault(name, []).append(np.asarray(values))
            bar.update(min(number * batch_size, task.eval_examples))
        return task.summarize({name: np.concatenate(parts) for name, parts in found.items()})


def about(runner: Runner, model: str) -> dict[str, Any]:
    """What was scored; of a run directory, the checkpoint that was taken."""
    manifest = runner.manifest
    return {
        "model": manifest.source if manifest.format == "checkpoint" else model,
        "format": manifest.format,
        "step": manifest.step,
        "averaged": manifest.averaged,
        "image_size": runner.image_size,
    }
