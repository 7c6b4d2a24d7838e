"""From a checkpoint to the configuration and the weights of its net."""

from __future__ import annotations

import numpy as np
import pytest
from made_models import detector_config
from one_weight_model import INFO, WEIGHT, one_weight_model

from mnasnet_cli.checkpoints.reader import CheckpointContents
from mnasnet_cli.checkpoints.restoring import load_weights, net_config
from mnasnet_cli.errors import CheckpointError


def contents(**weights: np.ndarray) -> CheckpointContents:
    return CheckpointContents("x", 1, INFO, weights, False)


def test_weights_are_loaded_by_name() -> None:
    model = one_weight_model()
    load_weights(model, contents(**{WEIGHT: np.array([1.0, 2.0], np.float32)}))
    assert model.weights[WEIGHT].numpy().tolist() == [1.0, 2.0]


def test_weights_of_another_net_are_named() -> None:
    found = contents(**{WEIGHT: np.zeros([3], np.float32), "other": np.zeros([1], np.float32)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(one_weight_model(), found)
    for fact in (WEIGHT, "(3,)", "(2,)", "other"):
        assert fact in str(caught.value)
    with pytest.raises(CheckpointError, match=WEIGHT):
        load_weights(one_weight_model(), contents())


def test_a_setting_that_has_moved_is_ignored() -> None:
    """Older checkpoints of detectors hold `freeze_backbone_norm`."""
    config = detector_config("b1")
    detection = {**config.detection.model_dump(mode="json"), "freeze_backbone_norm": True}
    info = {"task": "coco", "variant": "b1", "width": 1.0, "preprocessing": {"image_size": 64}}
    found = net_config(CheckpointContents("x", 1, {**info, "detection": detection}, {}, False))
    assert found.detection == config.detection
