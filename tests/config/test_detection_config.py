"""The section `detection`: its ranges, what it refuses, and the pyramid and heads that it describes."""

from __future__ import annotations

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("assignment", "facts"),
    [
        ("detection.famly=lite", ["'detection.famly'", "did you mean 'detection.family'?"]),
        ("detection.family=lit", ["'lit'", "did you mean 'lite'?"]),
        ("detection.kernel=4", ["kernel", "odd", "4"]),
        ("detection.negative_iou=0.7", ["negative_iou 0.7", "positive_iou 0.5"]),
        ("detection.scale_jitter=[2, 1]", ["scale_jitter [2.0, 1.0]", "0.1"]),
        ("data.augment.mixup=0.2", ["data.augment.mixup", "0.2", "detectors"]),
        ("training.label_smoothing=0.0", ["training.label_smoothing", "0.0", "detectors"]),
        ("training.teacher_weight=0.5", ["training.teacher_weight", "0.5", "detectors"]),
        ("detection=3", ["detection", "family, channels, depth", "found 3"]),
    ],
)
def test_a_bad_value_is_an_error_with_the_facts(assignment: str, facts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("lite", task="detection", assignments=[assignment])
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_keys_override_the_family() -> None:
    config = load_config(
        "lite", task="detection", assignments=["detection.channels=64", "detection.kernel=3"]
    ).detection
    assert config is not None
    assert (config.spec.channels, config.spec.kernel, config.spec.depth, config.spec.separable) == (64, 3, 1, True)


def test_with_net_names_every_value_of_the_family() -> None:
    config = load_config("lite", task="detection", assignments=["detection.channels=64"]).detection
    assert config is not None
    explicit = config.with_net()
    assert explicit.spec == config.spec
    assert explicit.net_sizes() == config.net_sizes() == {
        "family": "lite", "channels": 64, "depth": 1, "kernel": 5, "pyramid_norm": True, "pyramid_activation": "relu6",
    }  # fmt: skip
    assert explicit.channels == 64
    assert explicit.pyramid_activation == "relu6"
