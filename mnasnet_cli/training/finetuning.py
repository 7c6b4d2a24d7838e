"""What a configuration's `finetune` section means for each weight of a net."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mnasnet_cli.config.finetune import BACKBONE, STEM
from mnasnet_cli.config.schema import Config
from mnasnet_cli.nets.spec import NetSpec, block_specs, get_spec, layer_names


class FinetunePlan:
    """Which weights are trained when, and at which part of the learning rate."""

    def __init__(self, config: Config, names: Iterable[str], steps_per_epoch: int):
        self._options = config.finetune
        layers = layer_names(get_spec(config.model.variant))
        self._layer = {STEM: layers[0], BACKBONE: layers[-1]}.get(config.finetune.freeze or "", config.finetune.freeze)
        self._frozen_depth = layers.index(self._layer) + 1 if self._layer else 0
        self._depths = {name: layer_number(name, get_spec(config.model.variant)) for name in names}
        self._top = len(layers) + 1
        self._release = (config.finetune.freeze_epochs or 0) * steps_per_epoch

    def frozen_until(self, epoch: int) -> str | None:
        """The last layer of those that an epoch (0-based) leaves as they are."""
        return self._layer if self._options.frozen_in(epoch) else None

    def trained(self, names: Iterable[str], frozen_until: str | None) -> list[str]:
        """Those of the weights that are changed while the net is frozen up to a layer, or nothing of it is."""
        return [name for name in names if frozen_until is None or self._depths[name] > self._frozen_depth]

    def rate_factor(self, name: str) -> float:
        """A weight's learning rate over the run's."""
        return float(self._options.layer_decay ** (self._top - self._depths[name]))

    def first_step(self, name: str) -> int:
        """The first step that changes a weight, if any does."""
        return self._release if self._depths[name] <= self._frozen_depth else 0


def layer_number(name: str, spec: NetSpec) -> int:
    """The layer that a variable belongs to: 1 is the stem; one past the last are the classifier, pyramid and heads."""
    layers = layer_names(spec)
    scopes = {"Conv": 1, **{block.scope: layers.index(block.layer) + 1 for block in block_specs(spec)}}
    scopes["Conv_1"] = len(layers)
    found = re.match(r"(?:FeatureExtractor/)?Mnasnet/([^/]+)/", name)
    return scopes.get(found[1], len(layers) + 1) if found else len(layers) + 1
