"""The description of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_models import classifier_config, detector_config, make_checkpoint

from mnasnet_cli.checkpoints.describe import describe_checkpoint

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_a_classifier(tmp_path: Path) -> None:
    prefix = make_checkpoint(tmp_path, classifier_config(), ["n1", "n2", "n3"])
    found = describe_checkpoint(prefix)
    assert (found["path"], found["step"], found["task"], found["variant"]) == (prefix, 7, "imagenet", "tiny")
    assert (found["classes"], found["detection"], found["averaged_weights"]) == (3, None, False)
    assert found["variables"]["Mnasnet/Conv2d_1c_1x1/biases"] == [3]
    assert found["preprocessing"]["image_size"] == 32


def test_a_detector(tmp_path: Path) -> None:
    found = describe_checkpoint(make_checkpoint(tmp_path, detector_config(), ["1", "4"]))
    assert (found["task"], found["classes"]) == ("coco", 2)
    assert found["detection"]["channels"] == 8
