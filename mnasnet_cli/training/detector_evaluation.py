"""A detector's checkpoint scored on validation records: the COCO numbers, its detections as a file, and pictures."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.files import write_atomically
from mnasnet_cli.metrics.coco_files import Detections
from mnasnet_cli.metrics.coco_map import evaluate_detections
from mnasnet_cli.metrics.detection_images import SHOWN, draw_best_and_worst, score_images
from mnasnet_cli.metrics.detection_plots import plot_evaluation
from mnasnet_cli.tasks.detection import DetectionTask
from mnasnet_cli.tasks.detection_results import results_rows
from mnasnet_cli.training.checkpoints import read_checkpoint
from mnasnet_cli.training.evaluation import Evaluator
from mnasnet_cli.training.failures import clear_errors
from mnasnet_cli.training.saved import config_of, load_weights


def evaluate_detector(
    prefix: str,
    data_dir: Path,
    *,
    image_size: int | None = None,
    batch_size: int = 64,
    ema: bool = True,
    plots: Path | None = None,
    detections_file: Path | None = None,
) -> dict[str, Any]:
    """Scores a checkpoint on the validation records of `data_dir`.

    Args:
      prefix: of the checkpoint.
      data_dir: folder of records with the categories that the net was trained on.
      image_size: side of the net's input, px; None: as trained.
      batch_size: images a step.
      ema: take the averaged weights where there are any.
      plots: folder for precision-recall curves, AP per class, and the best and the worst images with their boxes.
      detections_file: is written in COCO's results format.

    Returns:
      the twelve numbers of COCO, images, per_class, loss, and what was scored on what.

    Raises:
      DataError: no records, or records of other categories.
      CheckpointError: not a detector's checkpoint of this toolkit.
    """
    contents = read_checkpoint(prefix, ema=ema)
    if contents.info["task"] != "coco":
        raise CheckpointError(f"{prefix} holds a classifier; score it with `mnasnet eval --imagenet-val`")
    config = config_of(contents, image_size=image_size, batch_size=batch_size)
    task = DetectionTask(config, data_dir)
    _check_categories(task, contents.info)
    with clear_errors(task):
        model = task.make_model()
        load_weights(model, contents)
        evaluation = Evaluator(task, model, None, batch_size=batch_size)(task.eval_examples)
    found = task.detections(evaluation.outputs)
    if detections_file is not None:
        detections_file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(detections_file, json.dumps(results_rows(found)) + "\n")
    if plots is not None:
        draw_detector_plots(task, found, evaluation.outputs, plots)
    about = {"model": prefix, "step": contents.step, "averaged": contents.averaged, "image_size": config.eval_size}
    return {**evaluation.summary, **about, "data": str(data_dir)}


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


def _check_categories(task: DetectionTask, trained: dict[str, Any]) -> None:
    if (task.labels, task.names) == (trained["labels"], trained["names"]):
        return
    ours = dict(zip(task.labels, task.names, strict=True))
    theirs = dict(zip(trained["labels"], trained["names"], strict=True))
    odd = [f"{key} {name}" for key, name in ours.items() if theirs.get(key) != name] or ["none besides"]
    raise DataError(
        f"{task.records.directory} has {len(ours)} categories and the model {len(theirs)}, and they are not the same "
        f"(such as {', '.join(odd[:3])}); evaluate on records of the categories that it was trained on"
    )
