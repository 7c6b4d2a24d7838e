"""The section `finetune` of a configuration, applied to each weight of a net."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mnasnet_cli.config.finetune import BACKBONE, STEM
from mnasnet_cli.config.schema import Config
from mnasnet_cli.nets.architecture import NetSpec, block_specs, layer_names


class FinetunePlan:
    """Which weights are trained in which epoch, and their learning rates."""

    def __init__(self, config: Config, names: Iterable[str], steps_per_epoch: int):
        """Makes the plan for the weights `names`."""
        self._options = config.finetune
        spec = config.model.spec
        layers = layer_names(spec)
        freeze = config.finetune.freeze
        self._last_frozen = {STEM: layers[0], BACKBONE: layers[-1]}.get(freeze or "", freeze)
        self._frozen_count = layers.index(self._last_frozen) + 1 if self._last_frozen else 0
        self._layer_numbers = {name: layer_number(name, spec) for name in names}
        self._top_number = len(layers) + 1
        self._release_step = (config.finetune.freeze_epochs or 0) * steps_per_epoch

    def frozen_until(self, epoch: int) -> str | None:
        """Return the last layer that is frozen in an epoch (0-based); None if all layers are trained."""
        return self._last_frozen if self._options.frozen_in(epoch) else None

    def trained(self, names: Iterable[str], frozen_until: str | None) -> list[str]:
        """Return the weights of `names` that are trained while the layers up to `frozen_until` are frozen."""
        return [name for name in names if frozen_until is None or self._layer_numbers[name] > self._frozen_count]

    def rate_factor(self, name: str) -> float:
        """Return a weight's learning rate as a fraction of the run's."""
        return float(self._options.layer_decay ** (self._top_number - self._layer_numbers[name]))

    def first_step(self, name: str) -> int:
        """Return the first step (0-based) that can change a weight."""
        return self._release_step if self._layer_numbers[name] <= self._frozen_count else 0


def layer_number(name: str, spec: NetSpec) -> int:
    """Return the layer of a variable: 1 is the stem; the classifier, pyramid and heads are one past the last layer."""
    layers = layer_names(spec)
    scopes = {"Conv": 1, **{block.scope: layers.index(block.layer) + 1 for block in block_specs(spec)}}
    scopes["Conv_1"] = len(layers)
    found = re.match(r"(?:FeatureExtractor/)?Mnasnet/([^/]+)/", name)
    return scopes.get(found[1], len(layers) + 1) if found else len(layers) + 1
