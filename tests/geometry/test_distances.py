"""Boxes as distances from the center of a cell."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry
from mnasnet_cli.geometry.distances import decode_boxes, decode_distances, encode_distances

CELLS = np.array([[0, 8, 8, 16], [32, 0, 64, 32]], np.float32)  # strides 8 and 32; centers (4, 12) and (48, 16)


def test_distances_by_hand() -> None:
    boxes = np.array([[0, 4, 8, 36], [48, 0, 80, 8]], np.float32)
    # 4 px up, 8 left, 4 down, 24 right; 0 up, 16 left, 32 down, and the right side is 8 px left of the center.
    expected = [[0.5, 1.0, 0.5, 3.0], [0.0, 0.5, 1.0, -0.25]]
    assert encode_distances(boxes, CELLS).numpy().tolist() == expected
    assert decode_distances(tf.constant(expected), CELLS).numpy().tolist() == boxes.tolist()


def test_codes() -> None:
    values = tf.constant([[0.5, 1.0, 0.5, 3.0], [1.0, 1.0, 1.0, 1.0]])
    assert (decode_boxes(values, CELLS, "distances") == decode_distances(values, CELLS)).numpy().all()
    logs = decode_boxes(tf.math.log(values), CELLS, "log-distances")
    np.testing.assert_allclose(logs, decode_distances(values, CELLS), atol=1e-4)
    assert (decode_boxes(values, CELLS, "deltas") == geometry.decode(values, CELLS)).numpy().all()
    assert np.isfinite(decode_boxes(tf.fill([2, 4], 1e9), CELLS, "log-distances")).all()


@pytest.mark.parametrize("seed", range(3))
def test_there_and_back(seed: int) -> None:
    corners = np.random.default_rng(seed).uniform(0, 100, [2, 2, 2])
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
    np.testing.assert_allclose(decode_distances(encode_distances(boxes, CELLS), CELLS), boxes, atol=1e-4)
