"""The detector of a configuration."""

from __future__ import annotations

import pytest
import tensorflow as tf
from made_models import detector_config

from mnasnet_cli.geometry.anchors import level_anchors
from mnasnet_cli.modules.detector import make_detector

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_returns_predictions_for_all_anchors() -> None:
    model = make_detector(detector_config(), 3)
    predictions = model(tf.zeros([2, 64, 64, 3]), is_training=False)
    anchors = sum(len(level) for level in level_anchors(64, 64))
    assert predictions.class_logits.shape == (2, anchors, 3)
    assert predictions.box_deltas.shape == (2, anchors, 4)
    assert {values.dtype for values in predictions} == {tf.float32}
