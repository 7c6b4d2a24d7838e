"""What a run takes over from the weights that it starts from."""

from __future__ import annotations

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.training.pretrained import inherit_settings

INFO = {
    "task": "classification",
    "net": {"padding": "symmetric", "batch_norm_epsilon": 1e-5, "batch_norm_decay": 0.9997},
    "preprocessing": {
        "image_size": 224,
        "crop_fraction": 0.96,
        "antialias": True,
        "interpolation": "bicubic",
        "mean": [127.5] * 3,
        "deviation": [127.5] * 3,
    },
}


def test_net_and_images_are_those_of_the_weights():
    config = inherit_settings(load_config(task="classification"), "m", INFO)
    assert config.model.net.overrides == {"padding": "symmetric", "batch_norm_epsilon": 1e-5}
    assert (config.data.mean, config.data.interpolation, config.data.crop_fraction) == ((127.5,) * 3, "bicubic", 0.96)
    assert config.data.image_size == load_config(task="classification").data.image_size
    assert inherit_settings(config, "m", INFO) == config


def test_a_detector_takes_what_it_has_a_use_for():
    config = inherit_settings(load_config(task="detection"), "m", INFO)
    assert config.model.net.padding == "symmetric"
    assert (config.data.mean, config.data.interpolation) == ((127.5,) * 3, "bicubic")
    assert config.data.crop_fraction == 0.875


def test_what_is_asked_for_stays_with_a_warning(capsys):
    asked = load_config(task="classification", assignments=["model.net.padding=same", "data.mean=[0.0, 0.0, 0.0]"])
    config = inherit_settings(asked, "m", INFO)
    assert (config.model.net.padding, config.data.mean) == ("same", (0.0, 0.0, 0.0))
    lines = capsys.readouterr().err
    assert "model.net.padding symmetric" in lines
    assert "data.mean [127.5, 127.5, 127.5]" in lines


@pytest.mark.parametrize("info", [{"task": "classification", "preprocessing": {"mean": [123.675, 116.28, 103.53]}}])
def test_checkpoints_of_before_say_less(info):
    config = load_config(task="classification")
    assert inherit_settings(config, "m", info) == config
