"""Batch norm's mean and variance in the weights that are evaluated: measured anew, and no variance close to zero."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from mnasnet_cli.distributed.strategy import mean_statistics
from mnasnet_cli.modules.slim_module import MOVING_STATISTICS, SlimModule
from mnasnet_cli.nets.architecture import layer_names
from mnasnet_cli.tasks.base import Task
from mnasnet_cli.training.finetuning import layer_number


class EvaluatedBatchNorm:
    """Corrects the moving statistics of a model's weights, or of their averages if there are any, for an evaluation.

    `finetune.recalibrate_batches`: moving statistics lag behind the weights, and the averaged statistics belong to no
    single set of weights. Statistics measured on a few batches belong to the weights as they are (Izmailov et al.,
    arXiv 1803.05407, section 3.2).

    `model.batch_norm_floor`: in training, an image that wakes a silent channel raises the variance by which its own
    batch is divided. In an evaluation it is divided by the moving variance, which is close to zero, and the channel
    becomes a hundred times too large.
    """

    def __init__(self, task: Task, model: SlimModule, averages: Mapping[str, tf.Variable] | None):
        self._task, self._model, self._averages = task, model, averages
        self._strategy = tf.distribute.get_strategy()
        self._names = [name for name in model.weights if name.endswith(MOVING_STATISTICS)]

    def __call__(self, batches: Callable[[], Any], frozen_until: str | None = None) -> None:
        """Corrects the statistics as the configuration has it.

        The result depends only on the weights and the batches, so a resumed run gets the same.

        Args:
          batches: gives the training batches to measure on.
          frozen_until: batch norm up to this layer keeps its statistics.
        """
        if self._task.config.finetune.recalibrate_batches:
            self._measure_anew(batches(), frozen_until)
        if self._task.config.model.batch_norm_floor:
            self._raise_variances(frozen_until)

    def _measure_anew(self, batches: Any, frozen_until: str | None) -> None:
        """Measure on the first `finetune.recalibrate_batches` of the batches."""
        count = self._task.config.finetune.recalibrate_batches
        moving = self._statistics()
        for done, batch in enumerate(itertools.islice(batches, count)):
            self._measure(batch, tf.constant(done / (done + 1), tf.float32), frozen_until)
        measured = self._statistics()
        self._update(measured)
        if self._averages is not None:
            for name, statistic in moving.items():
                self._assign(self._model.weights[name], statistic)

    @tf.function(autograph=False, reduce_retracing=True)
    def _measure(self, batch: Any, decay: tf.Tensor, frozen_until: str | None) -> None:
        """statistics ← decay · statistics + (1 - decay) · those of the batch, under the evaluated weights."""
        net = functools.partial(self._model, batch_norm_decay=decay, frozen_until=frozen_until)
        statistics = {name: self._model.weights[name] for name in self._names}
        weights = {**(self._averages or self._model.weights), **statistics}

        def forward(batch: Any) -> None:
            self._task.forward(net, batch, weights, is_training=True)

        self._strategy.run(forward, args=(batch,))

    def _raise_variances(self, frozen_until: str | None) -> None:
        """Raise each variance to `model.batch_norm_floor` of its layer's median."""
        config = self._task.config
        layers = layer_names(config.model.spec)
        kept = config.finetune.norm_frozen_until(frozen_until, layers)
        kept_layers = layers.index(kept) + 1 if kept else 0
        names = [
            name
            for name in self._names
            if name.endswith(MOVING_STATISTICS[1]) and layer_number(name, config.model.spec) > kept_layers
        ]
        statistics = self._statistics() if self._averages is None else self._averages
        fraction = config.model.batch_norm_floor
        self._update({name: statistics[name] for name in names}, lambda variance: raised(variance, fraction))

    def _statistics(self) -> dict[str, tf.Tensor]:
        """The model's statistics, averaged over its replicas."""
        means = mean_statistics(self._model.weights)
        return means or {name: tf.identity(self._model.weights[name]) for name in self._names}

    def _update(self, statistics: Mapping[str, Any], change: Callable[[Any], Any] = tf.identity) -> None:
        """Assign changed statistics to the weights that are evaluated."""
        evaluated = self._model.weights if self._averages is None else self._averages
        for name, statistic in statistics.items():
            self._assign(evaluated[name], statistic, change)

    def _assign(self, weight: tf.Variable, statistic: Any, change: Callable[[Any], Any] = tf.identity) -> None:
        self._strategy.extended.update(weight, lambda v, value: v.assign(change(value)), args=(statistic,))


def raised(variances: tf.Tensor, fraction: float) -> tf.Tensor:
    """Return the variances [C] of a layer, raised to a fraction of their median."""
    ordered, count = tf.sort(variances), variances.shape[0]
    median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return tf.maximum(variances, fraction * median)
