"""Exponential moving average (EMA) of a net's weights, moving statistics included, as in the MnasNet TPU code."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from mnasnet_cli.distributed.strategy import mean_statistics


class MovingAverage(tf.Module):
    """Averages of `weights` under the same names. A `SlimModule` uses them with `variables=average.weights`."""

    def __init__(self, weights: Mapping[str, tf.Variable]):
        super().__init__()
        self.weights = {
            name: tf.Variable(tf.convert_to_tensor(weight), trainable=False, name=f"{name}/average")
            for name, weight in weights.items()
        }

    def update(self, weights: Mapping[str, tf.Variable], decay: tf.Tensor) -> None:
        """average ← decay · average + (1 - decay) · weight, in cross-replica context; decay is [] float32."""
        extended = tf.distribute.get_strategy().extended
        means = mean_statistics(weights)
        sources = {name: means[name] if name in means else extended.read_var(weights[name]) for name in self.weights}

        def update(_: tf.Variable, values: Mapping[str, tf.Tensor]) -> None:
            for name, average in self.weights.items():
                average.assign_sub((1.0 - decay) * (average - values[name]))

        # One call for all weights: each takes as long to trace as a layer. `update` needs some variable.
        extended.update(next(iter(self.weights.values())), update, args=(sources,), group=True)


def decay_at(limit: float, step: int) -> float:
    """Return the decay at `step` (0-based): min(limit, (1 + step) / (10 + step)), TensorFlow's usual ramp."""
    return min(limit, (1.0 + step) / (10.0 + step))


def ramp_up(limit: float, step: tf.Tensor) -> tf.Tensor:
    """Return what `decay_at` returns, [] float32, for a step [] int64 in a graph."""
    done = tf.cast(step, tf.float32)
    return tf.minimum(limit, (1.0 + done) / (10.0 + done))
