"""Boxes as the distances of their sides from the center of a cell, as detectors without anchors predict them.

A cell is the one anchor of a position, a square as large as the stride of its level (`anchors.level_anchors` with an
anchor scale of 1). Distances are in strides, so that those of all levels have one range, and in the order of a box's
sides: up, left, down, right.
"""

from __future__ import annotations

from typing import Literal

import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry

BoxCode = Literal["deltas", "distances", "log-distances"]
"""What a box's four numbers are: deltas from an anchor (`boxes.encode`), distances, or their natural logarithms."""


def encode_distances(boxes: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
    """Return the distances […, 4] of the sides of boxes […, 4] from the centers of cells […, 4], in strides.

    They are negative where the center lies outside of the box.
    """
    center, stride = geometry.centers(cells), _stride(cells)
    return tf.concat([center - boxes[..., :2], boxes[..., 2:] - center], axis=-1) / stride


def decode_distances(distances: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
    """Return the boxes […, 4] for distances […, 4] from the centers of cells […, 4]: `encode_distances` inverted."""
    center, reach = geometry.centers(cells), distances * _stride(cells)
    return tf.concat([center - reach[..., :2], center + reach[..., 2:]], axis=-1)


def decode_boxes(values: tf.Tensor, anchors: tf.Tensor, code: BoxCode) -> tf.Tensor:
    """Return the boxes […, 4] that values […, 4] stand for, relative to anchors or cells […, 4]."""
    if code == "deltas":
        return geometry.decode(values, anchors)
    if code == "log-distances":  # limited, so that those of an untrained or diverging net stay finite
        values = tf.exp(tf.minimum(values, geometry.MAX_LOG_RATIO))
    return decode_distances(values, anchors)


def _stride(cells: tf.Tensor) -> tf.Tensor:
    return cells[..., 2:3] - cells[..., 0:1]
