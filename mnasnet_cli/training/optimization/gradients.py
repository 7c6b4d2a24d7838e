"""The loss of a batch and its gradients, accumulated over parts of the batch and over the replicas."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mnasnet_cli.modules.slim_module import MOVING_STATISTICS, SlimModule
from mnasnet_cli.tasks.base import Task
from mnasnet_cli.training.optimization.batch_parts import mean_loss
from mnasnet_cli.training.optimization.ema import ramp_up


class BatchGradients:
    """Computes the loss of the next batch and its gradients.

    A batch is split three times. `accumulate_steps` parts are computed one after the other; each of them is split over
    the replicas; each replica computes `batch_parts` parts side by side. Loss and gradients are means over all parts.
    """

    def __init__(self, task: Task, model: SlimModule, weights: Mapping[str, tf.Variable], frozen_until: str | None):
        """Prepares the gradients by `weights`; batch norm keeps its statistics up to the layer `frozen_until`."""
        self._task, self._model, self._weights = task, model, weights
        self._frozen_until, self._options = frozen_until, task.config.model
        self._training = task.config.training
        self._clip_norm = task.config.optimizer.gradient_clip
        self._strategy = tf.distribute.get_strategy()

    def __call__(self, iterator: Any, step: tf.Tensor) -> tuple[tf.Tensor, dict[str, Any]]:
        """Returns the loss and its terms, [1 + K] float32 (`Task.train_loss`), and the gradients by name, of one batch.

        Args:
          iterator: yields the `accumulate_steps` parts of the batch.
          step: [] int64, seeds dropout and sets the decay of batch norm's statistics.
        """
        if self._training.accumulate_steps > 1:
            loss, gradients = self._accumulate(iterator, step)
        else:
            loss, gradients = self._next_part(iterator, step, tf.constant(0))
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm([self._local(gradient) for gradient in gradients], self._clip_norm)
        return self._local(loss), dict(zip(self._weights, gradients, strict=True))

    def _accumulate(self, iterator: Any, step: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The means over the parts of a batch. Memory holds the activations of one part at a time."""
        parts = self._training.accumulate_steps

        def add_part(index: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            loss, gradients = self._next_part(iterator, step, index)
            values = [self._local(value) for value in (loss, *gradients)]
            return index + 1, *(total + value for total, value in zip(sums, values, strict=True))

        zeros = [tf.zeros(weight.shape) for weight in self._weights.values()]
        no_loss = tf.zeros([1 + len(self._task.loss_terms)])
        _, *sums = tf.while_loop(lambda index, *_: index < parts, add_part, [0, no_loss, *zeros])
        loss, *gradients = [total / parts for total in sums]
        return loss, gradients

    def _next_part(self, iterator: Any, step: tf.Tensor, index: tf.Tensor) -> tuple[Any, list[Any]]:
        """Loss and gradients of one part, equal on all replicas."""
        loss, gradients = self._strategy.run(self._replica_gradients, args=(next(iterator), step, index))
        return loss, gradients

    def _replica_gradients(self, batch: Any, step: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """In replica context: loss and gradients of this replica's share, summed over the replicas."""
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
        seed = tf.stack([tf.cast(self._training.seed, tf.int32), tf.cast(step, tf.int32)])
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(index, tf.int32) * 65_536 + replica)
        net = functools.partial(self._model, frozen_until=self._frozen_until)
        if self._options.batch_norm_ramp_up:
            net = functools.partial(net, batch_norm_decay=ramp_up(self._options.norm_decay, step))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for weight in self._weights.values():  # only these: frozen weights need no backward pass
                tape.watch(weight)
            weights = self._compute_weights()
            loss = mean_loss(
                lambda part, part_seed: self._task.train_loss(net, part, part_seed, weights),
                batch,
                seed,
                self._training.batch_parts,
            )
            loss /= context.num_replicas_in_sync
            first = loss[0]
        gradients = tape.gradient(first, list(self._weights.values()))
        if context.num_replicas_in_sync > 1:
            loss, *gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, *gradients])
        return loss, gradients

    def _compute_weights(self) -> dict[str, Any] | None:
        """The weights in bfloat16, cast inside the tape so that gradients reach the float32 variables."""
        if self._training.precision == "float32":
            return None
        return {name: to_bfloat16(name, weight) for name, weight in self._model.weights.items()}

    def _local(self, value: Any) -> Any:
        """The first replica's copy of a value that is equal on all replicas."""
        return self._strategy.experimental_local_results(value)[0]


def to_bfloat16(name: str, weight: Any) -> Any:
    """Casts a kernel or bias to bfloat16. Batch norm's variables stay: the fused kernels need float32."""
    if "BatchNorm" in name or name.endswith(MOVING_STATISTICS):
        return weight
    return tf.cast(weight, tf.bfloat16)
