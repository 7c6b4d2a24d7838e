"""The section `model.net`: overrides of the variant's architecture."""

from __future__ import annotations

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.net import NetConfig
from mnasnet_cli.errors import ConfigError


def test_only_keys_that_are_set_are_overrides() -> None:
    assert NetConfig().overrides == {}
    assert NetConfig(first_skip=False, unscaled_stages=0).overrides == {"first_skip": False, "unscaled_stages": 0}


def test_overrides_change_the_architecture() -> None:
    spec = load_config(assignments=["model.net.padding=symmetric", "model.net.activation=relu6"]).model.spec
    assert (spec.dialect.padding, spec.dialect.activation) == ("symmetric", "relu6")


def test_an_unknown_value_names_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"model\.net\.padding.*'same' or 'symmetric'.*'valid'"):
        load_config(assignments=["model.net.padding=valid"])
