"""Batch norm's statistics measured anew: the mean over training batches, for exactly the weights that are evaluated."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mnasnet_cli.distributed.strategy import mean_statistics
from mnasnet_cli.models.slim_module import MOVING_STATISTICS, SlimModule
from mnasnet_cli.tasks.base import Task


class Recalibration:
    """Replaces the moving statistics of a model's weights, or of their averages where there are any.

    Moving statistics trail behind the weights, and averaged ones are those of weights that never were in the net
    together; measured on a few batches, they are those of the weights as they stand (Izmailov et al., arXiv 1803.05407,
    section 3.2).
    """

    def __init__(self, task: Task, model: SlimModule, averages: Mapping[str, tf.Variable] | None):
        self._task, self._model, self._averages = task, model, averages
        self._strategy = tf.distribute.get_strategy()
        self._names = [name for name in model.weights if name.endswith(MOVING_STATISTICS)]

    def __call__(self, batches: Any, frozen_until: str | None = None) -> None:
        """Measures on the first of the batches, as many as the configuration asks for.

        Batch norm up to the layer `frozen_until` keeps its statistics. What is found follows from weights and batches
        alone, so that a run that is done again finds the same.
        """
        count = self._task.config.finetune.recalibrate_batches
        moving = self._values()
        for done, batch in enumerate(itertools.islice(batches, count)):
            self._measure(batch, tf.constant(done / (done + 1), tf.float32), frozen_until)
        measured = self._values()
        self._assign(self._model.weights if self._averages is None else self._averages, measured)
        if self._averages is not None:
            self._assign(self._model.weights, moving)

    @tf.function(autograph=False, reduce_retracing=True)
    def _measure(self, batch: Any, decay: tf.Tensor, frozen_until: str | None) -> None:
        """The model's statistics ← decay · themselves + (1 - decay) · the batch's, under the weights in question."""
        weights = {name: self._model.weights[name] for name in self._names}
        weights = {**(self._averages or self._model.weights), **weights}

        def forward(batch: Any) -> None:
            mode = {"is_training": True, "batch_norm_decay": decay, "frozen_until": frozen_until}
            self._task.forward(self._model, batch, weights, **mode)

        self._strategy.run(forward, args=(batch,))

    def _values(self) -> dict[str, tf.Tensor]:
        """The model's statistics, as the mean over its replicas."""
        means = mean_statistics(self._model.weights)
        return means or {name: tf.identity(self._model.weights[name]) for name in self._names}

    def _assign(self, weights: Mapping[str, tf.Variable], values: Mapping[str, tf.Tensor]) -> None:
        for name in self._names:
            self._strategy.extended.update(weights[name], lambda v, value: v.assign(value), args=(values[name],))
