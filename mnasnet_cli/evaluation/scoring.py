"""Scores a model of any format on a whole split, every example once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mnasnet_cli.config.task_names import DATASETS, MODEL_KINDS, TaskName
from mnasnet_cli.console import progress
from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.inference.runner import Runner, open_model
from mnasnet_cli.system.files import make_folder
from mnasnet_cli.tasks.base import Evaluation, Task
from mnasnet_cli.tasks.failures import clear_errors


class ModelEvaluation:
    """The evaluation of one model on one split of a folder of records; each task has a subclass."""

    task_name: ClassVar[TaskName]
    batch_size: ClassVar[int]
    """Images a step, by default."""

    task: Task

    def __init__(self, runner: Runner, data_dir: Path, split: str):
        """Open the records.

        Raises:
          DataError: there are no records, or they are of other classes than the model's.
        """
        self.runner = runner

    def outputs(self, batch: Any) -> Mapping[str, Any]:
        """Return what `Task.eval_outputs` returns for a batch, from the model's own program."""
        raise NotImplementedError

    def write_plots(self, evaluation: Evaluation, folder: Path) -> None:
        raise NotImplementedError

    def score(self, batch_size: int) -> Evaluation:
        """Run the model on the whole split."""
        task, parts = self.task, dict[str, list[np.ndarray]]()
        with clear_errors(task), progress("evaluate", task.eval_examples) as bar:
            for number, batch in enumerate(task.eval_batches(Share(batch_size)), 1):
                for name, values in self.outputs(batch).items():
                    parts.setdefault(name, []).append(np.asarray(values))
                bar.update(min(number * batch_size, task.eval_examples))
            return task.summarize({name: np.concatenate(arrays) for name, arrays in parts.items()})


def evaluate_model(
    kind: type[ModelEvaluation],
    model: str,
    data_dir: Path,
    *,
    runner: Runner | None = None,
    split: str = "validation",
    image_size: int | None = None,
    batch_size: int | None = None,
    ema: bool = True,
    best: bool = False,
    threads: int | None = None,
    plots: Path | None = None,
) -> tuple[dict[str, Any], ModelEvaluation, Evaluation]:
    """Score a model on the records of `data_dir`.

    Args:
      kind: the task's subclass of `ModelEvaluation`.
      model: a MODEL argument of the command line, see `open_model`; image_size, ema, best and threads go there, too.
      runner: the model, if it is open already; it is not opened again.
      data_dir: folder of records with the classes that the net was trained on.
      split: the images to score: "validation", "test" or "train".
      batch_size: images a step.
      plots: folder for plots.

    Returns:
      the report (the metrics, and which model was scored on which records), and the evaluation with its outputs.

    Raises:
      DataError: no records, no images of the split, or records of other classes.
      CheckpointError: no model of this task.
    """
    runner = runner or open_model(model, image_size=image_size, ema=ema, best=best, threads=threads)
    if runner.task != kind.task_name:
        raise CheckpointError(
            f"{model} holds a {MODEL_KINDS[runner.task]}; score it with `mnasnet eval --{DATASETS[runner.task]}-val`"
        )
    scored = kind(runner, data_dir, split)
    evaluation = scored.score(batch_size or kind.batch_size)
    if plots is not None:
        make_folder(plots)
        scored.write_plots(evaluation, plots)
    manifest = runner.manifest
    report = {
        **evaluation.summary,
        "model": manifest.source if manifest.format == "checkpoint" else model,
        "format": manifest.format,
        "step": manifest.step,
        "averaged": manifest.averaged,
        "image_size": runner.image_size,
        "data": str(data_dir),
        "split": split,
    }
    return report, scored, evaluation
