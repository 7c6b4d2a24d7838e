"""What a run takes over from the model that it starts from: the details of its net and how its images are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnasnet_cli.config.loading import validate
from mnasnet_cli.config.schema import Config
from mnasnet_cli.console import warn

_DATA = ("mean", "deviation", "interpolation", "antialias")
_CLASSIFIER_DATA = ("crop_fraction", "stretch")
# How fast batch norm's statistics follow is a matter of how long a run is: that of the recipe, not of the weights.
_OF_THE_RECIPE = ("batch_norm_decay",)


def adopt(config: Config, source: str, info: Mapping[str, Any]) -> Config:
    """The configuration with what belongs to the weights of `info` (`Task.model_info`) where nothing else is set.

    Imported weights are those of a net with other padding or another epsilon than the table's, and have seen images
    with another mean. What was set to something else on purpose stays, with a warning that names it.
    """
    tree = config.model_dump(mode="json")
    net = {key: value for key, value in (info.get("net") or {}).items() if key not in _OF_THE_RECIPE}
    for key, value in net.items():
        if tree["model"]["net"].get(key) is None:
            tree["model"]["net"][key] = value
        elif tree["model"]["net"][key] != value:
            _warn(source, f"model.net.{key}", value, tree["model"]["net"][key])
    of_classifiers = config.task == info["task"] == "classification"
    for key in (*_DATA, *(_CLASSIFIER_DATA if of_classifiers else ())):
        value = info["preprocessing"].get(key)
        if value is None or tree["data"][key] == value:
            continue
        if key not in config.data.model_fields_set:
            tree["data"][key] = value
        elif key in ("mean", "deviation"):  # the others are a matter of taste
            _warn(source, f"data.{key}", value, tree["data"][key])
    return validate(tree, source)


def begin_at_random(config: Config) -> Config:
    """The configuration of a run without a model to start from: batch norm has no statistics that it could keep."""
    if (
        config.finetune.freeze_norm and config.task == "classification"
    ):  # a detector's task has a note of its own for that
        warn("this recipe is for trained weights, and the run begins at random; name a trained model with --init MODEL")
    finetune = config.finetune.model_copy(update={"freeze_norm": False})
    return config.model_copy(update={"finetune": finetune})


def _warn(source: str, key: str, theirs: Any, ours: Any) -> None:
    warn(f"{source} was trained with {key} {theirs}, but this run has {ours}; leave it out to take that of the weights")
