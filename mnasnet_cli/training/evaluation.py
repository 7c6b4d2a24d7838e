"""Evaluation of a net over a whole split: every example once, on whatever devices there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.console import progress
from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.metrics.accuracy import confusion_matrix
from mnasnet_cli.metrics.plots import plot_confusion, plot_images
from mnasnet_cli.tasks.classification import ClassificationTask
from mnasnet_cli.tasks.task import Evaluation, Task
from mnasnet_cli.training.checkpoints import read_checkpoint
from mnasnet_cli.training.distribution import Processes, share_of
from mnasnet_cli.training.failures import clear_errors
from mnasnet_cli.training.saved import config_of, load_weights
from mnasnet_cli.variables import SlimModule


class Evaluator:
    """Runs the net in inference mode over the validation split; compiled once, used after every epoch.

    `weights` (such as moving averages) stand in for the model's own, by name.
    """

    def __init__(self, task: Task, model: SlimModule, weights: Mapping[str, Any] | None, *, batch_size: int):
        self._task = task
        self._strategy = tf.distribute.get_strategy()
        self._processes = Processes(self._strategy)
        self._batch_size = batch_size

        def outputs(batch: Any) -> dict[str, tf.Tensor]:
            return task.eval_outputs(model, batch, weights)

        self._outputs: Callable[[Any], Any] = tf.function(
            lambda batch: self._strategy.run(outputs, args=(batch,)), autograph=False, reduce_retracing=True
        )

    def __call__(self, examples: int | None = None) -> Evaluation:
        """Evaluates; `examples` is the size of the split, for the progress bar."""
        replicas = self._strategy.num_replicas_in_sync
        batches = self._strategy.distribute_datasets_from_function(
            lambda context: self._task.eval_batches(share_of(context, self._batch_size * replicas))
        )
        found: dict[str, list[np.ndarray]] = {}
        with progress("evaluate", examples) as bar:
            done = 0
            for batch in batches:
                for name, values in self._outputs(batch).items():
                    local = self._strategy.experimental_local_results(values)
                    found.setdefault(name, []).extend(value.numpy() for value in local)
                done += self._batch_size * replicas
                bar.update(min(done, examples or done))
        gather = self._processes.gather  # once at the end, so that none waits for another before
        return self._task.summarize({name: gather(np.concatenate(parts)) for name, parts in found.items()})


WORST_IMAGES = 20


def evaluate_classifier(
    prefix: str,
    data_dir: Path,
    *,
    image_size: int | None = None,
    batch_size: int = 64,
    ema: bool = True,
    plots: Path | None = None,
) -> dict[str, Any]:
    """Scores a checkpoint on the validation records of `data_dir`.

    Args:
      prefix: of the checkpoint.
      data_dir: folder of records with the classes that the net was trained on.
      image_size: side of the crops, px; None: as trained.
      batch_size: images a step.
      ema: take the averaged weights where there are any.
      plots: folder for confusion.png and worst.png.

    Returns:
      top1, top5, loss, examples, per_class, and what was scored on what.

    Raises:
      DataError: no records, or records of other classes.
      CheckpointError: not a checkpoint of this toolkit.
    """
    contents = read_checkpoint(prefix, ema=ema)
    if contents.info["task"] != "imagenet":
        raise CheckpointError(f"{prefix} holds a detector; score it with `mnasnet eval --coco-val`")
    config = config_of(contents, image_size=image_size, batch_size=batch_size)
    task = ClassificationTask(config, data_dir)
    _check_classes(task, contents.info["labels"])
    with clear_errors(task):
        model = task.make_model()
        load_weights(model, contents)
        evaluation = Evaluator(task, model, None, batch_size=batch_size)(task.records.eval_examples)
    if plots is not None:
        draw_classifier_plots(task, evaluation, plots)
    about = {"model": prefix, "step": contents.step, "averaged": contents.averaged, "image_size": config.eval_size}
    return {**evaluation.summary, **about, "data": str(data_dir)}


def draw_classifier_plots(task: ClassificationTask, evaluation: Evaluation, folder: Path) -> None:
    """Writes the confusion matrix and the images with the highest loss into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    outputs = evaluation.outputs
    counts = confusion_matrix(outputs["labels"], outputs["predictions"], len(task.labels))
    plot_confusion(counts, task.names, folder / "confusion.png")
    worst = np.argsort(-outputs["losses"], kind="stable")[:WORST_IMAGES]
    records = task.records.eval_records(outputs["positions"][worst].tolist())
    images, captions = [], []
    for index in worst:
        filename, encoded = records[int(outputs["positions"][index])]
        images.append(tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy())
        truth, predicted = (task.names[outputs[key][index]] for key in ("labels", "predictions"))
        captions.append(f"{filename}\n{truth}, taken for\n{predicted} ({outputs['confidences'][index]:.0%})")
    plot_images(images, captions, folder / "worst.png")


def _check_classes(task: ClassificationTask, trained: list[str]) -> None:
    if task.labels == trained:
        return
    unknown = [label for label in task.labels if label not in trained]
    raise DataError(
        f"{task.records.directory} has {len(task.labels)} classes and the model {len(trained)}, and they are not "
        f"the same (such as {', '.join((unknown or task.labels)[:3])}); evaluate on records of the classes that it was "
        "trained on"
    )
