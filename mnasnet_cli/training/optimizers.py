"""Optimizers as update rules over TensorFlow's fused kernels; their slots are saved beside the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from mnasnet_cli.config import OptimizerConfig

Slots = dict[str, Any]
Rule = Callable[[Any, tf.Tensor, Slots, tf.Tensor, tf.Tensor], None]

# Newton-Schulz coefficients and steps of Muon (Jordan et al. 2024): singular values end in about [0.7, 1.2].
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
# Gives Muon's update AdamW's usual root mean square: one learning rate serves both (Liu et al., arXiv 2502.16982).
MUON_SCALE = 0.2


class Optimizer(tf.Module):
    """Updates a net's weights from their gradients.

    Attributes:
      slots: slot name → weight name → variable of the weight's shape.
    """

    def __init__(self, options: OptimizerConfig, weights: Mapping[str, tf.Variable], regularized: frozenset[str]):
        super().__init__()
        self._options = options
        self._regularized = regularized
        self._rules = {name: self._rule(name, weight) for name, weight in weights.items()}
        slots: dict[str, dict[str, tf.Variable]] = {}
        for name, weight in weights.items():
            for slot, initial in self._slot_names(name).items():
                value = tf.fill(weight.shape, initial)
                slots.setdefault(slot, {})[name] = tf.Variable(value, trainable=False, name=f"{name}/{slot}")
        self.slots = slots

    def apply(
        self, weights: Mapping[str, tf.Variable], gradients: Mapping[str, Any], rate: tf.Tensor, step: tf.Tensor
    ) -> None:
        """Updates every weight, in cross-replica context.

        Args:
          weights: those that the optimizer was made for. It keeps none: a checkpoint would find them here first.
          gradients: weight name → gradient, already summed over the replicas.
          rate: [] float32, the learning rate.
          step: [] int64, updates done so far.
        """
        extended = tf.distribute.get_strategy().extended
        for name, weight in weights.items():
            slots = {slot: variables[name] for slot, variables in self.slots.items() if name in variables}
            rule, decays = self._rules[name], name in self._regularized

            def update(
                variable: Any,
                gradient: tf.Tensor,
                slots: Slots = slots,
                rule: Rule = rule,
                decays: bool = decays,
            ) -> None:
                if decays and self._options.weight_decay:
                    gradient = self._decay(variable, gradient, rate)
                rule(variable, gradient, slots, rate, step)

            extended.update(weight, update, args=(gradients[name],), group=True)

    def _decay(self, variable: Any, gradient: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        weight_decay = self._options.weight_decay
        if self._options.name in ("adamw", "muon"):
            variable.assign_sub(rate * weight_decay * variable)
            return gradient
        return gradient + weight_decay * variable

    def _rule(self, name: str, weight: tf.Variable) -> Rule:
        if self._options.name == "muon":
            return self._muon if _is_matrix(name, weight) else self._adam
        return {"rmsprop": self._rmsprop, "sgd": self._sgd, "adamw": self._adam}[self._options.name]

    def _slot_names(self, name: str) -> dict[str, float]:
        if self._rules[name] == self._adam:
            return {"mean": 0.0, "square": 0.0}
        if self._rules[name] == self._rmsprop:
            return {"square": 1.0, "momentum": 0.0}  # TensorFlow 1's RMSProp starts its squares at 1
        return {"momentum": 0.0}

    def _sgd(self, variable: Any, gradient: tf.Tensor, slots: Slots, rate: tf.Tensor, step: tf.Tensor) -> None:
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=slots["momentum"].handle,
            lr=rate,
            grad=gradient,
            momentum=self._options.momentum,
            use_nesterov=self._options.nesterov,
        )

    def _rmsprop(self, variable: Any, gradient: tf.Tensor, slots: Slots, rate: tf.Tensor, step: tf.Tensor) -> None:
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=slots["square"].handle,
            mom=slots["momentum"].handle,
            lr=rate,
            rho=self._options.rmsprop_decay,
            momentum=self._options.momentum,
            epsilon=self._options.epsilon,
            grad=gradient,
        )

    def _adam(self, variable: Any, gradient: tf.Tensor, slots: Slots, rate: tf.Tensor, step: tf.Tensor) -> None:
        beta1, beta2 = self._options.betas
        updates = tf.cast(step + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=slots["mean"].handle,
            v=slots["square"].handle,
            beta1_power=tf.pow(beta1, updates),
            beta2_power=tf.pow(beta2, updates),
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=self._options.epsilon,
            grad=gradient,
        )

    def _muon(self, variable: Any, gradient: tf.Tensor, slots: Slots, rate: tf.Tensor, step: tf.Tensor) -> None:
        """Momentum, orthogonalised: every direction of the matrix moves by the same amount (Jordan et al. 2024)."""
        momentum = slots["momentum"]
        average = momentum.assign(self._options.momentum * momentum + gradient)
        looked_ahead = gradient + self._options.momentum * average
        inputs, outputs = variable.shape[-2:]
        direction = orthogonalize(tf.reshape(looked_ahead, [inputs, outputs]))
        scale = MUON_SCALE * max(inputs, outputs) ** 0.5
        variable.assign_sub(rate * scale * tf.reshape(direction, variable.shape))


def orthogonalize(matrix: tf.Tensor) -> tf.Tensor:
    """About the nearest (semi-)orthogonal matrix to `matrix` [m, n], by Newton-Schulz iteration."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else tf.transpose(matrix)
    x /= tf.norm(x) + 1e-7
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * square + c * tf.matmul(square, square), x)
    return x if wide else tf.transpose(x)


def _is_matrix(name: str, weight: tf.Variable) -> bool:
    """A 1×1 convolution between features; the classifier is not one: its outputs are classes."""
    return weight.shape.rank == 4 and tuple(weight.shape[:2]) == (1, 1) and "Conv2d_1c_1x1" not in name


def clip_by_global_norm(gradients: list[tf.Tensor], limit: float) -> list[tf.Tensor]:
    """Scales all gradients by one factor, so that their common norm is at most `limit`."""
    return tf.clip_by_global_norm(gradients, limit)[0]
