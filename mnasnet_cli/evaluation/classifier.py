"""Evaluates a classifier of any format on validation records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.evaluation.scoring import about, score
from mnasnet_cli.inference.runner import open_model
from mnasnet_cli.metrics.accuracy import confusion_matrix
from mnasnet_cli.metrics.plots import plot_confusion, plot_images
from mnasnet_cli.tasks.base import Evaluation
from mnasnet_cli.tasks.classification import ClassificationTask

WORST_IMAGES = 20


def evaluate_classifier(
    model: str,
    data_dir: Path,
    *,
    image_size: int | None = None,
    batch_size: int = 64,
    ema: bool = True,
    best: bool = False,
    threads: int | None = None,
    plots: Path | None = None,
) -> dict[str, Any]:
    """Scores a model on the validation records of `data_dir`.

    Args:
      model: what `open_model` takes; so are image_size, ema, best and threads.
      data_dir: folder of records with the classes that the net was trained on.
      batch_size: images a step.
      plots: folder for confusion.png and worst.png.

    Returns:
      top1, top5, loss, examples, per_class, and what was scored on what.

    Raises:
      DataError: no records, or records of other classes.
      CheckpointError: not a classifier that can be opened.
    """
    runner = open_model(model, image_size=image_size, ema=ema, best=best, threads=threads)
    if runner.kind != "classifier":
        raise CheckpointError(f"{model} holds a detector; score it with `mnasnet eval --coco-val`")
    task = ClassificationTask(runner.config, data_dir)
    _check_classes(task, list(runner.manifest.labels))

    def net(images: tf.Tensor, **_: Any) -> tf.Tensor:
        return tf.constant(runner.predict_tensors(images.numpy())["logits"])

    evaluation = score(task, batch_size, lambda batch: task.eval_outputs(net, batch, None))  # type: ignore[arg-type]
    if plots is not None:
        draw_classifier_plots(task, evaluation, plots)
    return {**evaluation.summary, **about(runner, model), "data": str(data_dir)}


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
