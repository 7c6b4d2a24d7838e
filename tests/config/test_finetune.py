"""The section `finetune`: frozen layers, and combinations that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from mnasnet_cli.config.finetune import FinetuneConfig
from mnasnet_cli.config.loading import validate
from mnasnet_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("finetune", "facts"),
    [
        ({"freeze": "layer_99"}, ["finetune.freeze", "'layer_99'", "layer_1 … layer_19"]),
        ({"freeze": "steam"}, ["'steam'", "did you mean 'stem'?"]),
        ({"freeze_epochs": 3}, ["freeze_epochs", "3", "stem"]),
        ({"freeze_norm": True, "recalibrate_batches": 8}, ["freeze_norm", "recalibrate_batches", "(8)"]),
    ],
)
def test_a_contradiction_is_an_error_with_the_facts(finetune: dict[str, Any], facts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        validate({"finetune": finetune}, "here")
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_a_detector_may_keep_the_backbones_statistics_and_measure_those_of_the_heads() -> None:
    finetune = {"freeze_norm": True, "recalibrate_batches": 8}
    assert validate({"task": "coco", "finetune": finetune}, "here").finetune.freeze_norm


@pytest.mark.parametrize(
    ("section", "frozen"),
    [
        (FinetuneConfig(), [False, False, False]),
        (FinetuneConfig(freeze="stem"), [True, True, True]),
        (FinetuneConfig(freeze="backbone", freeze_epochs=2), [True, True, False]),
    ],
)
def test_frozen_in(section: FinetuneConfig, frozen: list[bool]) -> None:
    assert [section.frozen_in(epoch) for epoch in range(3)] == frozen


def test_norm_frozen_until() -> None:
    layers = ["layer_1", "layer_2", "layer_3"]
    assert FinetuneConfig().norm_frozen_until("layer_1", layers) == "layer_1"
    assert FinetuneConfig(freeze_norm=True).norm_frozen_until(None, layers) == "layer_3"
