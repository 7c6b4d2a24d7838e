"""Evaluates a classifier of any format on records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from mnasnet_cli.config.schema import Config
from mnasnet_cli.data.decoding import decode_whole
from mnasnet_cli.data.imagenet import ClassificationBatch
from mnasnet_cli.errors import DataError
from mnasnet_cli.evaluation.scoring import ModelEvaluation, evaluate_model
from mnasnet_cli.inference.runner import Runner
from mnasnet_cli.metrics.accuracy import class_scores, confusion_matrix
from mnasnet_cli.metrics.classification_plots import CLASS_FILE, PR_FILE, plot_confidences
from mnasnet_cli.metrics.plots import plot_class_bars, plot_confusion
from mnasnet_cli.pages.sheets import draw_sheet, save_sheet
from mnasnet_cli.tasks.base import Evaluation
from mnasnet_cli.tasks.classification import ClassificationTask

BEST_FILE, WORST_FILE = "best_images.png", "worst_images.png"
SHOWN, COLUMNS, TILE = 20, 5, 240  # images of a sheet, in a row, and px of the longer side


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
        """Write the confusion matrix, scores by class, precision-recall curves, and the best and worst images."""
        task, outputs = self.task, evaluation.outputs
        counts = confusion_matrix(outputs["labels"], outputs["predictions"], len(task.labels))
        plot_confusion(counts, task.names, folder / "confusion.png")
        correct = outputs["labels"] == outputs["predictions"]
        plot_confidences(outputs["confidences"], correct, folder / PR_FILE)
        scores = zip(evaluation.summary["per_class"], class_scores(counts), strict=True)
        bars = [
            (row["name"], row["examples"], row["top1"], one["precision"] or 0.0)
            for row, one in scores
            if row["top1"] is not None
        ]
        plot_class_bars(
            bars,
            folder / CLASS_FILE,
            what="top-1 and precision",
            score="top-1 (recall)",
            other="precision",
            counted="examples",
        )
        order = np.argsort(outputs["losses"], kind="stable")
        self._draw(
            outputs, order[correct[order]][:SHOWN], folder / BEST_FILE, "the lowest loss among the right answers"
        )
        self._draw(outputs, order[::-1][:SHOWN], folder / WORST_FILE, "the highest loss")

    def _draw(self, outputs: Mapping[str, np.ndarray], chosen: np.ndarray, path: Path, title: str) -> None:
        records = self.task.records.eval_records(outputs["positions"][chosen].tolist())
        pictures, captions = [], []
        for index in chosen:
            filename, encoded = records[int(outputs["positions"][index])]
            pictures.append(Image.fromarray(decode_whole(tf.constant(encoded)).numpy()))
            truth, predicted = (self.task.names[outputs[key][index]] for key in ("labels", "predictions"))
            answer = truth if truth == predicted else f"{truth}\ntaken for {predicted}"
            captions.append(f"{answer}\n{100 * outputs['confidences'][index]:.1f} %; {filename}")
        title = f"The {len(chosen)} images with {title}"
        save_sheet(draw_sheet(pictures, captions, columns=COLUMNS, tile=TILE, title=title), path)


def _check_classes(task: ClassificationTask, trained: list[str]) -> None:
    if task.labels == trained:
        return
    unknown = [label for label in task.labels if label not in trained]
    raise DataError(
        f"{task.records.directory} has {len(task.labels)} classes and the model has {len(trained)}. They differ "
        f"(for example {', '.join((unknown or task.labels)[:3])}); evaluate on records of the classes that the model "
        "was trained on"
    )
