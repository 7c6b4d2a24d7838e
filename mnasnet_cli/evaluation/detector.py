"""Evaluates a detector of any format on records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.schema import Config
from mnasnet_cli.data.coco import DetectionBatch
from mnasnet_cli.data.preprocessing import normalize
from mnasnet_cli.errors import DataError
from mnasnet_cli.evaluation.scoring import ModelEvaluation, evaluate_model
from mnasnet_cli.inference.runner import Runner
from mnasnet_cli.metrics.coco_map import evaluate_detections
from mnasnet_cli.metrics.detection_images import best_and_worst, draw_best_and_worst, score_images
from mnasnet_cli.metrics.detection_plots import plot_evaluation
from mnasnet_cli.nets.anchor_free import BinnedPredictions
from mnasnet_cli.nets.retinanet import Predictions
from mnasnet_cli.system.files import make_folder, temporary_folder, write_atomically
from mnasnet_cli.tasks.base import Evaluation
from mnasnet_cli.tasks.coco_results import results_rows
from mnasnet_cli.tasks.detection import DetectionTask


def evaluate_detector(
    model: str, data_dir: Path, *, detections_file: Path | None = None, **options: Any
) -> dict[str, Any]:
    """Score a detector; see `evaluate_model` for the other options.

    Args:
      detections_file: write the boxes here, in COCO's results format.

    Returns:
      COCO's twelve numbers, images, per_class, the loss (None unless the model is a checkpoint), and which model was
      scored on which records.
    """
    report, scored, evaluation = evaluate_model(DetectorEvaluation, model, data_dir, **options)
    if detections_file is not None:
        assert isinstance(scored, DetectorEvaluation)
        make_folder(detections_file.parent)
        rows = results_rows(scored.task.detections(evaluation.outputs))
        write_atomically(detections_file, json.dumps(rows) + "\n")
    return report


class DetectorEvaluation(ModelEvaluation):
    """A detector on COCO-style records."""

    task_name = "detection"
    batch_size = 16

    def __init__(self, runner: Runner, data_dir: Path, split: str):
        super().__init__(runner, data_dir, split)
        config = Config(task="detection", detection=runner.detection or DetectionConfig())
        self.task: DetectionTask = DetectionTask(config, data_dir, runner.manifest.preprocessing, eval_split=split)
        _check_categories(self.task, runner)

    def outputs(self, batch: DetectionBatch) -> Mapping[str, Any]:
        found = dict(self.runner.predict_tensors(normalize(batch.images, self.task.preprocessing).numpy()))
        heads = {name: tf.constant(found.pop(name)) for name in BinnedPredictions._fields if name in found}
        outputs = {
            "positions": batch.positions,
            "image_ids": batch.image_ids,
            "image_sizes": batch.image_sizes,
            **found,
        }
        if self.runner.detection is not None:
            kind = BinnedPredictions if "box_bins" in heads else Predictions
            losses, matched = self.task.losses(kind(**heads), batch)
            outputs |= {"losses": losses, "matched": matched}
        return outputs

    def write_plots(self, evaluation: Evaluation, folder: Path) -> None:
        """Write precision-recall curves, AP by class, confusions, and the best and worst images with their boxes."""
        task, outputs = self.task, evaluation.outputs
        boxes = task.detections(outputs)
        plot_evaluation(evaluate_detections(task.truth, boxes), task.truth, boxes, folder)
        _, scores = score_images(task.truth, boxes)
        wanted = {score.image_id for chosen in best_and_worst(scores).values() for score in chosen}
        places = dict(zip(outputs["image_ids"].tolist(), outputs["positions"].tolist(), strict=True))
        records = task.records.eval_records([places[image_id] for image_id in wanted])
        with temporary_folder() as temporary:
            root = temporary.resolve()
            for name, encoded in records.values():  # the report draws from files
                path = (root / name).resolve()
                if name and path.is_relative_to(root):
                    make_folder(path.parent)
                    write_atomically(path, encoded)
            draw_best_and_worst(task.truth, boxes, root, folder)


def _check_categories(task: DetectionTask, runner: Runner) -> None:
    ours = dict(zip(task.labels, task.names, strict=True))
    theirs = dict(zip(runner.manifest.labels, runner.manifest.names, strict=True))
    if list(ours.items()) == list(theirs.items()):
        return
    odd = [f"{key} {name}" for key, name in ours.items() if theirs.get(key) != name] or ["none besides"]
    raise DataError(
        f"{task.records.directory} has {len(ours)} categories and the model has {len(theirs)}. They differ (for "
        f"example {', '.join(odd[:3])}); evaluate on records of the categories that the model was trained on"
    )
