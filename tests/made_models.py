"""Checkpoints of nets that no one trained, for tests of what happens to a trained one.

Batch norm's statistics and the classes' biases are random, so that folding them wrong, or mixing classes up, shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.checkpoints.folder import CheckpointFolder
from mnasnet_cli.checkpoints.writer import SavedState
from mnasnet_cli.config.loading import validate
from mnasnet_cli.config.schema import Config
from mnasnet_cli.modules.classifier import make_classifier
from mnasnet_cli.modules.detector import make_detector
from mnasnet_cli.modules.info import model_info

CATEGORIES = {1: "circle", 4: "square", 7: "triangle"}


def classifier_config(variant: str = "tiny", image_size: int = 32, **data: Any) -> Config:
    data = {"image_size": image_size, "antialias": True, **data}
    return validate({"task": "imagenet", "model": {"variant": variant}, "data": data}, "a test")


def detector_config(variant: str = "tiny-backbone", image_size: int = 64, **detection: Any) -> Config:
    detection = {"family": "lite", "channels": 8, "depth": 1, **detection}
    data = {"image_size": image_size, "antialias": True}
    tree = {"task": "coco", "model": {"variant": variant}, "data": data, "detection": detection}
    return validate(tree, "a test")


def make_checkpoint(run: Path, config: Config, labels: list[str], names: list[str] | None = None) -> str:
    """Writes a checkpoint of step 7 into a run directory and returns its prefix."""
    detector = config.task == "detection"
    tf.random.set_seed(0)  # kernels come from the net's own initializers
    model = make_detector(config, len(labels)) if detector else make_classifier(config, len(labels))
    random = np.random.default_rng(0)
    for name, variable in model.weights.items():
        value = _random_value(name, variable.numpy(), random)
        variable.assign(value.astype(np.float32))
    info = model_info(config, labels, names or labels)
    state = SavedState(model, info)
    return state.save(CheckpointFolder(run / "checkpoints", keep=1), 7)


def _random_value(name: str, value: np.ndarray, random: np.random.Generator) -> np.ndarray:
    kind = name.rpartition("/")[2]
    if kind == "moving_variance":
        return random.uniform(0.5, 2.0, value.shape)
    if kind == "gamma":
        return random.uniform(0.7, 1.3, value.shape)
    if kind in ("beta", "moving_mean"):
        return random.normal(0.0, 0.2, value.shape)
    if name.endswith("ClassPredictor/biases"):  # so high that there are boxes to look at
        return random.normal(-1.5, 0.7, value.shape)
    if "Predictor" in name:  # they start so near 0 that all boxes would have the same score
        return random.normal(0.0, 0.06, value.shape)
    if kind == "biases":
        return random.normal(0.0, 0.2, value.shape)
    return value
