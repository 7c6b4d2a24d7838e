"""Evaluates a detector of any format on validation records."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.data.augment import normalize
from mnasnet_cli.data.coco import DetectionBatch
from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.evaluation.scoring import about, score
from mnasnet_cli.inference.runner import Runner, open_model
from mnasnet_cli.metrics.coco_files import Detections
from mnasnet_cli.metrics.coco_map import evaluate_detections
from mnasnet_cli.metrics.detection_images import SHOWN, draw_best_and_worst, score_images
from mnasnet_cli.metrics.detection_plots import plot_evaluation
from mnasnet_cli.nets.retinanet import Predictions
from mnasnet_cli.system.files import write_atomically
from mnasnet_cli.tasks.coco_results import results_rows
from mnasnet_cli.tasks.detection import DetectionTask


def evaluate_detector(
    model: str,
    data_dir: Path,
    *,
    image_size: int | None = None,
    batch_size: int = 16,
    ema: bool = True,
    best: bool = False,
    threads: int | None = None,
    plots: Path | None = None,
    detections_file: Path | None = None,
) -> dict[str, Any]:
    """Scores a model on the validation records of `data_dir`.

    Args:
      model: what `open_model` takes; so are image_size, ema, best and threads.
      data_dir: folder of records with the categories that the net was trained on.
      batch_size: images a step.
      plots: folder for precision-recall curves, AP per class, and the best and the worst images with their boxes.
      detections_file: is written in COCO's results format.

    Returns:
      the twelve numbers of COCO, images, per_class, what was scored on what, and the loss, which only a checkpoint has
      (None for others).

    Raises:
      DataError: no records, or records of other categories.
      CheckpointError: not a detector that can be opened.
    """
    runner = open_model(model, image_size=image_size, ema=ema, best=best, threads=threads)
    if runner.kind != "detector":
        raise CheckpointError(f"{model} holds a classifier; score it with `mnasnet eval --imagenet-val`")
    task = DetectionTask(runner.config, data_dir)
    _check_categories(task, runner)
    evaluation = score(task, batch_size, lambda batch: _outputs(runner, task, batch))
    boxes = task.detections(evaluation.outputs)
    if detections_file is not None:
        detections_file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(detections_file, json.dumps(results_rows(boxes)) + "\n")
    if plots is not None:
        draw_detector_plots(task, boxes, evaluation.outputs, plots)
    return {**evaluation.summary, **about(runner, model), "data": str(data_dir)}


def _outputs(runner: Runner, task: DetectionTask, batch: DetectionBatch) -> dict[str, np.ndarray]:
    """What `DetectionTask.eval_outputs` gives, with the boxes of the runner's own program; losses where it has any."""
    options = runner.manifest.preprocessing
    found = runner.predict_tensors(normalize(batch.images, options.mean, options.deviation).numpy())
    number_of = {category: number for number, category in enumerate(runner.manifest.category_ids, 1)}
    classes = [[number_of.get(category, 0) for category in row] for row in found["detection_classes"].tolist()]
    outputs = {
        "positions": batch.positions.numpy(),
        "image_ids": batch.image_ids.numpy(),
        "scales": batch.scales.numpy(),
        "boxes": found["detection_boxes"] * np.float32(runner.image_size),
        "scores": found["detection_scores"],
        "classes": np.array(classes, np.int32),
        "counts": found["num_detections"].astype(np.int32),
    }
    if "class_logits" in found:
        heads = Predictions(*(tf.constant(found[name]) for name in ("class_logits", "box_deltas")))
        losses, matched = task.losses(heads, batch)
        outputs |= {"losses": losses.numpy(), "matched": matched.numpy()}
    return outputs


def draw_detector_plots(
    task: DetectionTask, found: Detections, outputs: dict[str, np.ndarray], folder: Path
) -> list[Path]:
    """Writes precision-recall curves, AP per class, and the best and worst images; returns their paths."""
    paths = plot_evaluation(evaluate_detections(task.truth, found), folder)
    _, scores = score_images(task.truth, found)
    best = sorted(scores, key=lambda score: (-score.f1, -score.annotations))[:SHOWN]
    wanted = {score.image_id for score in [*best, *scores[:SHOWN]]}
    places = dict(zip(outputs["image_ids"].tolist(), outputs["positions"].tolist(), strict=True))
    records = task.records.eval_records([places[identity] for identity in wanted])
    with tempfile.TemporaryDirectory(prefix="mnasnet-") as temporary:
        for name, encoded in records.values():  # as files, which is what the report of a results file draws from
            path = (Path(temporary) / name).resolve()
            if name and path.is_relative_to(Path(temporary).resolve()):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded)
        return paths + draw_best_and_worst(task.truth, found, Path(temporary), folder)


def _check_categories(task: DetectionTask, runner: Runner) -> None:
    ours = dict(zip(task.labels, task.names, strict=True))
    theirs = dict(zip(runner.manifest.labels, runner.manifest.names, strict=True))
    if list(ours.items()) == list(theirs.items()):
        return
    odd = [f"{key} {name}" for key, name in ours.items() if theirs.get(key) != name] or ["none besides"]
    raise DataError(
        f"{task.records.directory} has {len(ours)} categories and the model {len(theirs)}, and they are not the same "
        f"(such as {', '.join(odd[:3])}); evaluate on records of the categories that it was trained on"
    )
