"""Precise batch norm: mean and variance measured over training batches, for exactly the weights that are evaluated."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mnasnet_cli.distributed.strategy import mean_statistics
from mnasnet_cli.modules.slim_module import MOVING_STATISTICS, SlimModule
from mnasnet_cli.tasks.base import Task


class PreciseBatchNorm:
    """Replaces the moving statistics of a model's weights, or of their averages if there are any.

    Moving statistics lag behind the weights, and the averaged statistics belong to no single set of weights. Statistics
    measured on a few batches belong to the weights as they are (Izmailov et al., arXiv 1803.05407, section 3.2).
    """

    def __init__(self, task: Task, model: SlimModule, averages: Mapping[str, tf.Variable] | None):
        self._task, self._model, self._averages = task, model, averages
        self._strategy = tf.distribute.get_strategy()
        self._names = [name for name in model.weights if name.endswith(MOVING_STATISTICS)]

    def __call__(self, batches: Any, frozen_until: str | None = None) -> None:
        """Measures on the first `finetune.recalibrate_batches` of the batches.

        Batch norm up to the layer `frozen_until` keeps its statistics. The result depends only on the weights and the
        batches, so a resumed run gets the same.
        """
        count = self._task.config.finetune.recalibrate_batches
        moving = self._statistics()
        for done, batch in enumerate(itertools.islice(batches, count)):
            self._measure(batch, tf.constant(done / (done + 1), tf.float32), frozen_until)
        measured = self._statistics()
        self._assign(self._model.weights if self._averages is None else self._averages, measured)
        if self._averages is not None:
            self._assign(self._model.weights, moving)

    @tf.function(autograph=False, reduce_retracing=True)
    def _measure(self, batch: Any, decay: tf.Tensor, frozen_until: str | None) -> None:
        """statistics ← decay · statistics + (1 - decay) · those of the batch, under the evaluated weights."""
        net = functools.partial(self._model, batch_norm_decay=decay, frozen_until=frozen_until)
        statistics = {name: self._model.weights[name] for name in self._names}
        weights = {**(self._averages or self._model.weights), **statistics}

        def forward(batch: Any) -> None:
            self._task.forward(net, batch, weights, is_training=True)

        self._strategy.run(forward, args=(batch,))

    def _statistics(self) -> dict[str, tf.Tensor]:
        """The model's statistics, averaged over its replicas."""
        means = mean_statistics(self._model.weights)
        return means or {name: tf.identity(self._model.weights[name]) for name in self._names}

    def _assign(self, weights: Mapping[str, tf.Variable], values: Mapping[str, tf.Tensor]) -> None:
        for name in self._names:
            self._strategy.extended.update(weights[name], lambda v, value: v.assign(value), args=(values[name],))
