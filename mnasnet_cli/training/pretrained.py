"""What a run inherits from the pretrained model that it starts from: details of its net, and its preprocessing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mnasnet_cli.config.loading import validate
from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.config.schema import Config
from mnasnet_cli.console import warn

# The recipe decides this, not the weights: how fast batch norm's statistics move depends on the length of a run.
_NOT_INHERITED = ("batch_norm_decay",)
# Only classifiers crop their evaluation images.
_CROP_KEYS = ("crop_fraction", "stretch")


def inherit_settings(config: Config, source: str, info: Mapping[str, Any]) -> Config:
    """Return the configuration with the settings of a pretrained model, where it does not set them itself.

    A pretrained net may have other padding or another epsilon than its table, and it was trained on images with a
    certain mean. A different setting in the configuration stays; a warning names it if it matters.

    Args:
      source: the model's name in messages.
      info: what its checkpoint stores (`modules.info.model_info`).
    """
    tree = config.model_dump(mode="json")
    net = {key: value for key, value in (info.get("net") or {}).items() if key not in _NOT_INHERITED}
    for key, value in net.items():
        if tree["model"]["net"].get(key) is None:
            tree["model"]["net"][key] = value
        elif tree["model"]["net"][key] != value:
            _warn_of_difference(source, f"model.net.{key}", value, tree["model"]["net"][key])
    both_classify = config.task == info["task"] == "classification"
    keys = [field.name for field in dataclasses.fields(Preprocessing) if field.name != "image_size"]
    for key in keys:
        value = info["preprocessing"].get(key)
        if value is None or tree["data"][key] == value or (key in _CROP_KEYS and not both_classify):
            continue
        if key not in config.data.model_fields_set:
            tree["data"][key] = value
        elif key in ("mean", "deviation"):
            _warn_of_difference(source, f"data.{key}", value, tree["data"][key])
    return validate(tree, source)


def start_from_scratch(config: Config) -> Config:
    """Return the configuration for random initial weights: they have no batch norm statistics worth freezing."""
    # A detector's task has its own hint.
    if config.finetune.freeze_norm and config.task == "classification":
        warn("this recipe is for pretrained weights, but the run starts from scratch; name a model with --init MODEL")
    finetune = config.finetune.model_copy(update={"freeze_norm": False})
    return config.model_copy(update={"finetune": finetune})


def _warn_of_difference(source: str, key: str, theirs: Any, ours: Any) -> None:
    warn(f"{source} was trained with {key} {theirs}, but this run sets {ours}; remove the setting to use the model's")
