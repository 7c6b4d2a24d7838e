"""What a training says at its end if its result is poor: the likely cause, and the command that helps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mnasnet_cli.config.schema import Config
from mnasnet_cli.console import percent
from mnasnet_cli.tasks.base import Evaluation

FEW_STEPS = 500
ONE_CLASS = 0.9  # share of the predictions
LOSS_RATIO = 10.0  # of validation over training
NO_BOXES = 0.01  # AP


def poor_result(config: Config, evaluation: Evaluation, steps: int, train_loss: float | None) -> list[str]:
    """Return one line for each thing that is wrong with a result, [] if nothing is.

    Args:
      evaluation: of the validation split at the end of the training.
      steps: of the whole training.
      train_loss: mean over the last steps; None if no step was taken.
    """
    if config.task == "detection":
        found = _boxes(evaluation.summary)
    else:
        found = [*_classes(evaluation), *_losses(evaluation.summary["loss"], train_loss)]
    return [*found, _cause(config, steps)] if found else []


def _classes(evaluation: Evaluation) -> list[str]:
    truth, predicted = evaluation.outputs["labels"], evaluation.outputs["predictions"]
    count = len(truth)
    largest = float(np.bincount(truth).max()) / count
    said, times = (int(values[-1]) for values in _by_count(predicted))
    name, top1 = evaluation.summary["per_class"][said]["name"], evaluation.summary["top1"]
    share = times / count
    # Within two standard deviations of what always saying the most frequent class gives.
    if top1 <= largest + 2.0 * math.sqrt(largest * (1.0 - largest) / count):
        extra = f"; the net says '{name}' for {100 * share:.0f} % of the images" if share > ONE_CLASS else ""
        return [f"top-1 is {percent(top1)}, and always saying the most frequent class gives {percent(largest)}{extra}"]
    if share > max(ONE_CLASS, largest + 0.1):
        return [f"the net says '{name}' for {100 * share:.0f} % of the images"]
    return []


def _by_count(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values and their counts, the most frequent last."""
    unique, counts = np.unique(values, return_counts=True)
    order = np.argsort(counts, kind="stable")
    return unique[order], counts[order]


def _losses(validation: float, training: float | None) -> list[str]:
    if training is None or validation <= LOSS_RATIO * max(training, 0.1):
        return []
    return [f"the validation loss is {validation:.3g}, and the training loss {training:.3g}"]


def _boxes(summary: dict[str, Any]) -> list[str]:
    ap = summary["AP"]
    return [f"AP is {percent(ap)}: the detector finds next to nothing"] if ap is not None and ap < NO_BOXES else []


def _cause(config: Config, steps: int) -> str:
    """Return the likely cause and what to do."""
    start = "--backbone MODEL" if config.task == "detection" else "--config finetune --init MODEL"
    if steps < FEW_STEPS:
        return (
            f"{steps:,} steps are few: train longer with --epochs, take more steps an epoch with a smaller "
            f"--batch-size, or start from trained weights with {start}"
        )
    if config.optimizer.name == "rmsprop" and config.task == "classification":
        return f"this recipe is for ImageNet: try --config quick, or start from trained weights with {start}"
    return (
        "look at the images with `mnasnet inspect DATA --health --images 16`: are labels and boxes right? If they are, "
        f"lower --set optimizer.learning_rate_per_256, or start from trained weights with {start}"
    )
