"""Checkpoints of seeded nets, written by the checkpoint format alone, and what they give for a generated image.

Every variable's values follow from its name, so they depend on neither the order of creation nor TensorFlow's random
numbers. As a program (`python tests/compatibility/seeded_models.py`) it writes `tests/golden/outputs.json`: for a new
net, or for a change of numbers that is meant.
"""

from __future__ import annotations

import dataclasses
import io
import json
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from mnasnet_cli.inference.runner import open_model
from mnasnet_cli.nets.detector_spec import get_detector
from mnasnet_cli.nets.detector_table import detector_variable_shapes
from mnasnet_cli.nets.spec import NETS, get_spec, variable_shapes

GOLDEN = Path(__file__).parents[1] / "golden" / "outputs.json"
VARIANTS = tuple(NETS)
DETECTORS = {
    "lite": "b1",
    "retinanet": "b1-2019",
    "anchor-free": "b1",
}  # with the backbone; b1-2019 takes P5 from its head
SIZES = {"channels": 32, "depth": 1}
WIDTH = 0.35
LABELS = ("1", "4", "7")  # of a detector, category ids
BOXES = 20  # the best ones are compared
IMAGENET = {"mean": [123.675, 116.28, 103.53], "deviation": [58.395, 57.12, 57.375]}


def write_classifier(folder: Path, variant: str) -> str:
    """Writes a checkpoint of a seeded classifier of three classes, 64 px; returns its prefix."""
    preprocessing = {"image_size": 64, "crop_fraction": 0.875, "antialias": True, **IMAGENET}
    info = {"task": "imagenet", "variant": variant, "preprocessing": preprocessing}
    return _write(folder, info, variable_shapes(get_spec(variant, WIDTH), len(LABELS)))


def write_detector(folder: Path, family: str) -> str:
    """Writes a checkpoint of a seeded detector of three categories, 128 px; returns its prefix."""
    variant = DETECTORS[family]
    spec = dataclasses.replace(get_detector(family), **SIZES)
    info = {
        "task": "coco",
        "variant": variant,
        "preprocessing": {"image_size": 128, "antialias": True, **IMAGENET},
        "detection": {"family": family, **SIZES},
    }
    return _write(folder, info, detector_variable_shapes(get_spec(variant, WIDTH), spec, len(LABELS)))


def _write(folder: Path, info: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> str:
    weights = {name: tf.Variable(seeded_value(name, shape)) for name, shape in shapes.items()}
    text = json.dumps({"width": WIDTH, "labels": LABELS, "names": LABELS, **info})
    model = tf.train.Checkpoint(weights=weights)
    checkpoint = tf.train.Checkpoint(step=tf.Variable(7, dtype=tf.int64), model=model, info=tf.Variable(text))
    return str(checkpoint.write(str(folder / "checkpoints" / "ckpt-7")))


def seeded_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values as a trained net could have them: float32 of this shape, by the name alone."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    kind = name.rpartition("/")[2]
    if kind == "moving_variance":
        value = random.uniform(0.5, 2.0, shape)
    elif kind == "gamma":
        value = random.uniform(0.7, 1.3, shape)
    elif name.endswith("ClassPredictor/biases"):
        value = random.normal(-1.5, 0.7, shape)
    elif kind in ("beta", "moving_mean", "biases"):
        value = random.normal(0.0, 0.2, shape)
    elif kind == "depthwise_weights":
        value = random.normal(0.0, np.sqrt(2.0 / np.prod(shape[:2])), shape)
    else:
        value = random.normal(0.0, np.sqrt(1.0 / np.prod(shape[:-1])), shape)
    return value.astype(np.float32)


def generated_image() -> bytes:
    """A PNG of 90×120 px: colour gradients, and rectangles with sharp edges."""
    rows, columns = np.mgrid[0:90, 0:120]
    pixels = np.stack([2 * rows, 2 * columns, 255 - rows - columns], -1)
    random = np.random.default_rng(0)
    for _ in range(6):
        top, left = random.integers(0, 60), random.integers(0, 80)
        height, width = random.integers(10, 40, 2)
        pixels[top : top + height, left : left + width] = random.integers(0, 256, 3)
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, "png")
    return content.getvalue()


def outputs_of(prefix: str) -> dict[str, Any]:
    """What a model gives for the generated image: "logits" [C], or "boxes" [n, 4], "scores" [n] and "classes" [n]."""
    runner = open_model(prefix)
    outputs = runner.predict_tensors(runner.preprocess(generated_image())[None])
    if "logits" in outputs:
        return {"logits": _rounded(outputs["logits"][0])}
    boxes, scores, classes = (outputs[f"detection_{name}"][0, :BOXES] for name in ("boxes", "scores", "classes"))
    return {"boxes": _rounded(boxes), "scores": _rounded(scores), "classes": classes.tolist()}


def _rounded(values: np.ndarray) -> Any:
    return np.round(values.astype(np.float64), 6).tolist()


def all_outputs(folder: Path) -> dict[str, Any]:
    classifiers = {name: outputs_of(write_classifier(folder / name, name)) for name in VARIANTS}
    return classifiers | {name: outputs_of(write_detector(folder / name, name)) for name in DETECTORS}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        found = all_outputs(Path(work))
    rows = [f"{json.dumps(name)}: {json.dumps(outputs)}" for name, outputs in found.items()]
    GOLDEN.write_text("{\n " + ",\n ".join(rows) + "\n}\n")
