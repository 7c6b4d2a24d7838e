"""Optimizers as update rules over TensorFlow's fused kernels, and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from mnasnet_cli.config.schema import OptimizerConfig, ScheduleConfig
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimization.muon import muon_scale, orthogonalize

Slots = dict[str, Any]
Rule = Callable[[Any, tf.Tensor, Slots, tf.Tensor, tf.Tensor], None]


class Optimizer(tf.Module):
    """Updates a net's weights from their gradients. Checkpoints hold its slots.

    Attributes:
      slots: slot name → weight name → variable of the weight's shape.
    """

    def __init__(
        self,
        options: OptimizerConfig,
        weights: Mapping[str, tf.Variable],
        regularized: frozenset[str],
        plan: FinetunePlan | None = None,
    ):
        super().__init__()
        self._options = options
        self._regularized = regularized
        self._plan = plan
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
        """Update weights, in cross-replica context.

        Args:
          weights: all or some of those that the optimizer was made for. It keeps no references to them: checkpoints
            would store them under its own name.
          gradients: weight name → gradient, summed over the replicas.
          rate: [] float32, the learning rate.
          step: [] int64, updates done so far.
        """
        # One function for all weights, because Muon processes its matrices together. `update` needs some variable.
        tf.distribute.get_strategy().extended.update(
            next(iter(weights.values())),
            lambda _, gradients: self._update(weights, gradients, rate, step),
            args=(dict(gradients),),
            group=True,
        )

    def _update(
        self, weights: Mapping[str, Any], gradients: Mapping[str, tf.Tensor], rate: tf.Tensor, step: tf.Tensor
    ) -> None:
        """Update the weights of one replica. Inside, each variable is the replica's copy."""
        matrices: dict[str, tf.Tensor] = {}
        rates: dict[str, tf.Tensor] = {}
        for name, weight in weights.items():
            gradient, own_step = gradients[name], step
            rates[name] = rate
            if self._plan is not None:
                rates[name] = self._plan.rate_factor(name) * rate
                own_step = step - self._plan.first_step(name)  # Adam's bias correction counts a weight's updates
            if name in self._regularized and self._options.weight_decay:
                gradient = self._decay(weight, gradient, rates[name])
            slots = {slot: variables[name] for slot, variables in self.slots.items() if name in variables}
            rule = self._rules[name]
            if rule is None:
                matrices[name] = self._nesterov_momentum(gradient, slots["momentum"])
            else:
                rule(weight, gradient, slots, rates[name], own_step)
        for name, direction in zip(matrices, orthogonalize(list(matrices.values())), strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(
                var=weights[name].handle,
                alpha=rates[name] * muon_scale(direction.shape),
                delta=tf.reshape(direction, weights[name].shape),
            )

    def _decay(self, variable: Any, gradient: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        weight_decay = self._options.weight_decay
        if self._options.name in ("adamw", "muon"):
            variable.assign((1.0 - rate * weight_decay) * variable)
            return gradient
        return gradient + weight_decay * variable

    def _rule(self, name: str, weight: tf.Variable) -> Rule | None:
        """Return the update rule of a weight; None for Muon, which updates all matrices together."""
        if self._options.name == "muon":
            return None if _is_matrix(name, weight) else self._adam
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

    def _nesterov_momentum(self, gradient: tf.Tensor, momentum: Any) -> tf.Tensor:
        """Update a matrix's momentum and return its Nesterov momentum, [inputs, outputs]."""
        average = momentum.assign(self._options.momentum * momentum + gradient)
        return tf.reshape(gradient + self._options.momentum * average, momentum.shape[-2:])


def _is_matrix(name: str, weight: tf.Variable) -> bool:
    """Whether Muon updates the weight: it is a 1×1 convolution, but not the classifier."""
    return weight.shape.rank == 4 and tuple(weight.shape[:2]) == (1, 1) and "Conv2d_1c_1x1" not in name


def learning_rate_factor(schedule: ScheduleConfig, step: int, steps_per_epoch: int, total_steps: int) -> float:
    """Return the learning rate at `step` (0-based) as a fraction of the peak rate, in [0, 1].

    Warm-up ends at the peak. The exponential decay counts its steps from 0, warm-up included, and drops in stairs, as
    in the MnasNet TPU code. The cosine runs from the end of warm-up and hold to the last step.
    """
    warmup_steps = schedule.warmup_epochs * steps_per_epoch
    if step + 1 < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule.name == "exponential":
        return float(schedule.decay_rate ** (step // (schedule.decay_epochs * steps_per_epoch)))
    if schedule.name == "cosine":
        start = warmup_steps + schedule.hold_epochs * steps_per_epoch
        progress = min(1.0, max(0.0, (step - start) / max(1.0, total_steps - start)))
        cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
        return schedule.final_fraction + (1.0 - schedule.final_fraction) * cosine
    return 1.0
