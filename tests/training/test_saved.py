"""A checkpoint's own account of its net, as configuration."""

from __future__ import annotations

from made_models import detector_config

from mnasnet_cli.training.checkpoints import CheckpointContents
from mnasnet_cli.training.saved import config_of


def test_detectors_of_before_are_read():
    """Once the section had a setting more, of the training alone."""
    detection = {**detector_config("b1").detection.model_dump(mode="json"), "freeze_backbone_norm": True}
    info = {"task": "coco", "variant": "b1", "width": 1.0, "preprocessing": {"image_size": 64}}
    config = config_of(CheckpointContents("x", 1, {**info, "detection": detection}, {}, False))
    assert config.detection == detector_config("b1").detection
