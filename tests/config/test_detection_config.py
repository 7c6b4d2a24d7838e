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
        ("detection.bins=8", ["bins", "anchor-free", "not lite"]),
        ("detection.assign=simota", ["assign 'simota'", "lite", "iou or atss"]),
        ("detection.class_loss=varifocal", ["class_loss 'varifocal'", "focal"]),
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


@pytest.mark.parametrize(
    ("assignment", "facts"),
    [
        ("detection.assign=atss", ["assign 'atss'", "anchor-free", "task-aligned or simota"]),
        ("detection.class_loss=focal", ["class_loss 'focal'", "quality-focal or varifocal"]),
        ("detection.box_loss=huber", ["box_loss 'huber'", "giou or ciou"]),
        ("detection.bins=1", ["bins", "at least 2"]),
        ("detection.pyramid_kernel=4", ["pyramid_kernel", "odd", "4"]),
        ("detection.top_level=8", ["top_level", "7"]),
        ("detection.hue_jitter=0.6", ["hue_jitter", "0.5"]),
    ],
)
def test_a_bad_value_without_anchors_is_an_error_with_the_facts(assignment: str, facts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("anchor-free", task="detection", assignments=[assignment])
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_a_family_without_anchors_has_its_own_defaults() -> None:
    # On top of a recipe of another family, too.
    config = load_config("lite", task="detection", assignments=["detection.family=anchor-free"]).detection
    assert config is not None
    found = (config.assign, config.class_loss, config.box_loss, config.box_weight)
    assert found == ("task-aligned", "quality-focal", "giou", 2.0)
    given = load_config("anchor-free", task="detection", assignments=["detection.box_weight=1"]).detection
    assert given is not None
    assert given.box_weight == 1.0
    # What a run or a checkpoint stores is read back as it was.
    assert type(given)(**given.model_dump(mode="json")) == given


def test_with_net_names_what_only_a_net_without_anchors_has() -> None:
    config = load_config("anchor-free", task="detection", assignments=["detection.bins=16"]).detection
    assert config is not None
    sizes = config.with_net().net_sizes()
    assert (sizes["bins"], sizes["bottom_up"], sizes["top_level"]) == (16, True, 5)
    assert config.with_net().spec == config.spec
