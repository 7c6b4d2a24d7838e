"""Which images the scales of integers are taken from: those on which nothing in the net explodes.

A tensor's 256 steps reach from the least to the largest value that it had on any calibration image, so a single image
can spoil them all. Trained nets have such images: where a channel was silent on all training images, batch norm divides
by nearly nothing, and an image on which it speaks sends values into the hundreds through every layer behind it. Of 300
images, 4 % did so to a b1 trained on ten classes: calibrated with them it was right for 22 % of the validation images,
and without them for 91 %, as the checkpoint is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.graph import TENSORS, classic_graph
from mnasnet_cli.export.tflite.dead_squeeze_excite import REDUCE
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import classify, predict_heads

# Share of the images that is left out. What they need beyond the range is cut off, which cost no accuracy.
LEFT_OUT = 0.1
# Of all images in a batch: 8 of 224 px, and large ones one by one. A RetinaNet at 640 px takes 1 GB for each.
BATCH_PIXELS = 8 * 224 * 224
# Operations behind which the converter quantizes.
_WATCHED = ("FusedBatchNormV3", "Relu", "Relu6", "AddV2", "BiasAdd")


def calm_images(peaks: np.ndarray) -> np.ndarray:
    """Which images to keep, bool [N], by the largest absolute value [N, L] that each has in each of L layers.

    How far an image goes is the largest of its values, each over that layer's median.
    """
    excess = (peaks / np.maximum(np.median(peaks, axis=0), 1e-9)).max(axis=1)
    left_out = np.argsort(excess, kind="stable")[len(excess) - int(LEFT_OUT * len(excess)) :]
    return ~np.isin(np.arange(len(excess)), left_out)


class Observed(NamedTuple):
    """What N images did to a net."""

    peaks: np.ndarray
    """The largest absolute value of every image in each of L layers [N, L]."""
    squeezes: dict[str, np.ndarray]
    """What went into the ReLU of each squeeze-excite's bottleneck, by its scope: [N, units]."""


def observe(loaded: LoadedModel, batches: Iterable[np.ndarray]) -> Observed:
    """Runs batches [n, S, S, 3] of the net's input through it."""
    size = loaded.image_size
    graph = tf.Graph()
    with classic_graph(graph):
        variables = {name: tf.constant(value) for name, value in loaded.contents.weights.items()}
        tensors = tf.compat.v1.placeholder(tf.float32, [None, size, size, 3], name=TENSORS)
        (classify if loaded.task == "classification" else predict_heads)(loaded.model, tensors, variables)
        operations = graph.get_operations()
        watched = [operation.outputs[0] for operation in operations if _is_watched(operation)]
        peaks = tf.stack([tf.reduce_max(tf.abs(net), range(1, net.shape.rank)) for net in watched], axis=1)
        squeezes = {
            operation.name.removesuffix("/BiasAdd"): operation.outputs[0][:, 0, 0, :]
            for operation in operations
            if operation.name.endswith(f"/{REDUCE}/BiasAdd")
        }
    session = tf.compat.v1.Session(graph=graph)  # not a default one: making the batches takes TensorFlow, too
    parts = [session.run(Observed(peaks, squeezes), {tensors: batch}) for batch in batches]
    joined = {scope: np.concatenate([part.squeezes[scope] for part in parts]) for scope in squeezes}
    return Observed(np.concatenate([part.peaks for part in parts]), joined)


def _is_watched(operation: tf.Operation) -> bool:
    if operation.type not in _WATCHED:
        return False
    net = operation.outputs[0]
    return net.dtype == tf.float32 and (net.shape.rank or 0) >= 3


def in_batches(images: Iterable[np.ndarray], size: int | None = None) -> Iterable[np.ndarray]:
    """Stacks images [S, S, 3], `size` at a time or as many as memory is meant for; the last batch may be smaller."""
    batch: list[np.ndarray] = []
    for image in images:
        batch.append(image)
        if len(batch) >= (size or BATCH_PIXELS // (image.shape[0] * image.shape[1])):
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
