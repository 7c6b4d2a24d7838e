"""Evaluates a classifier of any format on records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.schema import Config
from mnasnet_cli.data.decoding import decode_whole
from mnasnet_cli.data.imagenet import ClassificationBatch
from mnasnet_cli.errors import DataError
from mnasnet_cli.evaluation.scoring import ModelEvaluation, evaluate_model
from mnasnet_cli.inference.runner import Runner
from mnasnet_cli.metrics.accuracy import confusion_matrix
from mnasnet_cli.metrics.plots import plot_confusion, plot_images
from mnasnet_cli.tasks.base import Evaluation
from mnasnet_cli.tasks.classification import ClassificationTask

WORST_IMAGES = 20


def evaluate_classifier(model: str, data_dir: Path, **options: Any) -> dict[str, Any]:
    """Score a classifier; see `evaluate_model` for the options.

    Returns:
      top1, top5, loss, examples, per_class, and which model was scored on which records.
    """
    report, _, _ = evaluate_model(ClassifierEvaluation, model, data_dir, **options)
    return report


class ClassifierEvaluation(ModelEvaluation):
    """A classifier on ImageNet-style records."""

    task_name = "classification"
    batch_size = 64

    def __init__(self, runner: Runner, data_dir: Path, split: str):
        super().__init__(runner, data_dir, split)
        self.task: ClassificationTask = ClassificationTask(
            Config(), data_dir, runner.manifest.preprocessing, eval_split=split
        )
        _check_classes(self.task, list(runner.manifest.labels))

    def outputs(self, batch: ClassificationBatch) -> Mapping[str, Any]:
        return self.task.eval_outputs(self._net, batch, None)  # type: ignore[arg-type]

    def _net(self, images: tf.Tensor, **_: Any) -> tf.Tensor:
        return tf.constant(self.runner.predict_tensors(images.numpy())["logits"])

    def write_plots(self, evaluation: Evaluation, folder: Path) -> None:
        """Write confusion.png, and worst.png with the images of the highest loss."""
        task, outputs = self.task, evaluation.outputs
        counts = confusion_matrix(outputs["labels"], outputs["predictions"], len(task.labels))
        plot_confusion(counts, task.names, folder / "confusion.png")
        worst = np.argsort(-outputs["losses"], kind="stable")[:WORST_IMAGES]
        records = task.records.eval_records(outputs["positions"][worst].tolist())
        images, captions = [], []
        for index in worst:
            filename, encoded = records[int(outputs["positions"][index])]
            images.append(decode_whole(tf.constant(encoded)).numpy())
            truth, predicted = (task.names[outputs[key][index]] for key in ("labels", "predictions"))
            captions.append(f"{filename}\n{truth}, taken for\n{predicted} ({outputs['confidences'][index]:.0%})")
        plot_images(images, captions, folder / "worst.png")


def _check_classes(task: ClassificationTask, trained: list[str]) -> None:
    if task.labels == trained:
        return
    unknown = [label for label in task.labels if label not in trained]
    raise DataError(
        f"{task.records.directory} has {len(task.labels)} classes and the model has {len(trained)}. They differ "
        f"(for example {', '.join((unknown or task.labels)[:3])}); evaluate on records of the classes that the model "
        "was trained on"
    )
