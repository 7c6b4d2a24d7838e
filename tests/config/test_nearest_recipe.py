"""The shipped recipe that a configuration comes from."""

from __future__ import annotations

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.nearest_recipe import nearest_recipe
from mnasnet_cli.config.recipes import shipped_configs


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_every_shipped_recipe_is_its_own(task):
    for name in shipped_configs(task):
        assert nearest_recipe(load_config(name, task=task)) == (name, {})


def test_changed_settings_are_named_but_not_those_of_each_run():
    config = load_config("quick", task="classification", assignments=["training.ema_decay=0.9", "training.epochs=3"])
    assert nearest_recipe(config) == ("quick", {"training.ema_decay": 0.9})
