"""The detector of a configuration."""

from __future__ import annotations

import pytest
import tensorflow as tf
from made_models import detector_config

from mnasnet_cli.modules.detector import make_detector
from mnasnet_cli.modules.postprocessing import level_anchors, postprocessing_of

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_returns_predictions_for_all_anchors() -> None:
    config = detector_config()
    model = make_detector(config, 3)
    predictions = model(tf.zeros([2, 64, 64, 3]), is_training=False)
    levels = level_anchors(postprocessing_of(config.detection, [1, 2, 3]), 64)
    anchors = sum(len(level) for level in levels)
    assert predictions.class_logits.shape == (2, anchors, 3)
    assert predictions.box_deltas.shape == (2, anchors, 4)
    assert {values.dtype for values in predictions} == {tf.float32}
