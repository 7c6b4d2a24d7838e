"""Names the shipped recipe that a configuration comes from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.recipes import shipped_configs
from mnasnet_cli.config.schema import Config
from mnasnet_cli.config.task_names import TaskName

# Trainings with one recipe differ in these.
OF_EACH_RUN = (
    "model.variant", "model.width", "model.net", "model.table", "data.image_size", "training.epochs",
    "training.batch_size", "training.seed", "training.track",
)  # fmt: skip


def nearest_recipe(config: Config) -> tuple[str, dict[str, Any]]:
    """Return the shipped recipe with the fewest other settings, and those settings: dotted key → the configuration's.

    What differs from run to run anyway, such as variant and epochs, does not count.
    """
    own = _settings(config.model_dump(mode="json"))
    found = {
        name: {key: value for key, value in own.items() if value != theirs.get(key)}
        for name, theirs in _shipped(config.task).items()
    }
    return min(found.items(), key=lambda item: len(item[1]))


@functools.cache
def _shipped(task: TaskName) -> dict[str, dict[str, Any]]:
    return {name: _settings(load_config(name, task=task).model_dump(mode="json")) for name in shipped_configs(task)}


def _settings(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key → value, without OF_EACH_RUN."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in OF_EACH_RUN:
            continue
        flat |= _settings(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat
