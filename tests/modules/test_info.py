"""What checkpoints store about their net."""

from __future__ import annotations

import json

import pytest
from made_models import classifier_config, detector_config

from mnasnet_cli.modules.info import model_info

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_a_classifier() -> None:
    info = model_info(classifier_config(image_size=48), ["n1", "n2"], ["cat", "dog"])
    assert set(info) == {"task", "variant", "width", "net", "labels", "names", "preprocessing"}
    assert (info["variant"], info["width"]) == ("tiny", 1.0)
    assert (info["labels"], info["names"]) == (["n1", "n2"], ["cat", "dog"])
    assert info["preprocessing"]["image_size"] == 48
    assert json.loads(json.dumps(info)) == info


def test_a_detector() -> None:
    info = model_info(detector_config(channels=16), ["1"], ["cat"])
    assert info["detection"]["channels"] == 16
    assert json.loads(json.dumps(info)) == info
