"""The compiled part of training and evaluation: several steps in one call, on whatever devices there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from mnasnet_cli.config.schema import Config
from mnasnet_cli.distributed.strategy import mean_statistics
from mnasnet_cli.models.slim_module import MOVING_STATISTICS, SlimModule
from mnasnet_cli.tasks.base import Task
from mnasnet_cli.training.batch_parts import mean_loss
from mnasnet_cli.training.ema import MovingAverage
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimizers import Optimizer, clip_by_global_norm

MAX_STEPS = 100  # of one call


class Outcome(NamedTuple):
    """What a call of `TrainSteps` did."""

    done: tf.Tensor
    """[] int32: steps taken, the one with the bad loss included."""
    losses: tf.Tensor
    """[MAX_STEPS] float32: of each step taken, the last of which may be not finite, and zeros."""
    last_loss: tf.Tensor
    """[] float32; not finite where the call stopped early."""
    votes: tf.Tensor
    """[k] float32: the mean over the replicas of what each process gave."""


class TrainSteps:
    """Takes training steps until the asked number is done, or a loss is not finite."""

    def __init__(
        self,
        task: Task,
        model: SlimModule,
        optimizer: Optimizer,
        average: MovingAverage | None,
        plan: FinetunePlan,
    ):
        self._task, self._model, self._optimizer, self._average = task, model, optimizer, average
        self._plan = plan
        self._config: Config = task.config
        self._strategy = tf.distribute.get_strategy()

    def __call__(
        self,
        iterator: Any,
        first: tf.Tensor,
        rates: tf.Tensor,
        decays: tf.Tensor,
        votes: tf.Tensor,
        frozen_until: str | None = None,
    ) -> Outcome:
        """Takes len(rates) steps, at most MAX_STEPS.

        Args:
          iterator: gives batches, `accumulate_steps` of them a step.
          first: [] int64, steps done before the call.
          rates: [n] float32, the learning rate of each step.
          decays: [n] float32, the moving average's decay at each step.
          votes: [k] float32, what this process has to say on what all must do alike.
          frozen_until: the layers up to this one stay as they are.
        """
        # Always of one length: each other one would be another graph, and half a minute more until the first step.
        count = len(rates)
        rates, decays = (tf.pad(values, [[0, MAX_STEPS - count]]) for values in (rates, decays))
        return self._take(iterator, first, tf.constant(count), rates, decays, votes, frozen_until)

    @tf.function(autograph=False)
    def _take(
        self,
        iterator: Any,
        first: tf.Tensor,
        count: tf.Tensor,
        rates: tf.Tensor,
        decays: tf.Tensor,
        votes: tf.Tensor,
        frozen_until: str | None,
    ) -> Outcome:
        """`count` steps, in one graph for each size of image and set of frozen weights."""
        names = self._plan.trained(self._model.trainable, frozen_until)
        weights = {name: self._model.weights[name] for name in names}

        def condition(done: tf.Tensor, losses: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
            return (done < count) & tf.math.is_finite(last)

        def body(done: tf.Tensor, losses: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            step = first + tf.cast(done, tf.int64)
            loss, gradients = self._gradients(iterator, step, weights, frozen_until)
            self._optimizer.apply(weights, dict(zip(weights, gradients, strict=True)), rates[done], step)
            if self._average is not None:
                self._average.update(self._model.weights, decays[done])
            # Each loss by itself: how steps are grouped into calls depends on the time, and must not show in a mean.
            return done + 1, tf.where(tf.range(MAX_STEPS) == done, loss, losses), loss

        done, losses, last = tf.while_loop(condition, body, [0, tf.zeros_like(rates), 0.0])
        return Outcome(done, losses, last, self._mean(votes))

    def _gradients(
        self, iterator: Any, step: tf.Tensor, weights: Mapping[str, tf.Variable], frozen_until: str | None
    ) -> tuple[tf.Tensor, list[Any]]:
        """Loss and its gradients by `weights`, of the whole batch: the mean over its parts and over the replicas."""
        parts = self._config.training.accumulate_steps

        def part(index: tf.Tensor) -> tuple[tf.Tensor, list[Any]]:
            return self._strategy.run(
                lambda batch, step, index: self._replica_gradients(batch, step, index, weights, frozen_until),
                args=(next(iterator), step, index),
            )

        if parts == 1:
            loss, gradients = part(tf.constant(0))
        else:
            zeros = [tf.zeros(weight.shape) for weight in weights.values()]

            def add(index: tf.Tensor, loss: tf.Tensor, *sums: tf.Tensor) -> Any:
                part_loss, part_gradients = part(index)
                local = [self._local(gradient) for gradient in part_gradients]
                return (
                    index + 1,
                    loss + self._local(part_loss),
                    *(a + b for a, b in zip(sums, local, strict=True)),
                )

            _, loss, *sums = tf.while_loop(lambda index, *_: index < parts, add, [0, 0.0, *zeros])
            loss, gradients = loss / parts, [gradient / parts for gradient in sums]
        loss = self._local(loss)
        if self._config.optimizer.gradient_clip:
            local = [self._local(gradient) for gradient in gradients]
            gradients = clip_by_global_norm(local, self._config.optimizer.gradient_clip)
        return loss, gradients

    def _replica_gradients(
        self,
        batch: Any,
        step: tf.Tensor,
        part: tf.Tensor,
        weights: Mapping[str, tf.Variable],
        frozen_until: str | None,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group
        seed = tf.stack([tf.cast(self._config.training.seed, tf.int32), tf.cast(step, tf.int32)])
        seed = tf.random.experimental.stateless_fold_in(
            seed, tf.cast(part, tf.int32) * 65_536 + tf.cast(replica, tf.int32)
        )
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for weight in weights.values():  # and no others: nothing is computed for gradients that nobody wants
                tape.watch(weight)
            mode = {} if frozen_until is None else {"frozen_until": frozen_until}
            working = self._working_weights()
            loss = mean_loss(
                lambda part, part_seed: self._task.train_loss(self._model, part, part_seed, working, **mode),
                batch,
                seed,
                self._config.training.batch_parts,
            )
            loss /= context.num_replicas_in_sync
        gradients = tape.gradient(loss, list(weights.values()))
        if context.num_replicas_in_sync > 1:
            loss, *gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, *gradients])
        return loss, gradients

    def _working_weights(self) -> dict[str, Any] | None:
        """bfloat16 copies of the kernels, made inside of the step so that gradients reach the float32 weights."""
        if self._config.training.precision == "float32":
            return None
        return {name: working_copy(name, weight) for name, weight in self._model.weights.items()}

    def _local(self, value: Any) -> Any:
        """One replica's copy of a value that all-reduce made equal on all."""
        return self._strategy.experimental_local_results(value)[0]

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All that training changes, by name."""
        slots = {f"{name}/{slot}": v for slot, group in self._optimizer.slots.items() for name, v in group.items()}
        averages = {f"{name}/average": v for name, v in self._average.weights.items()} if self._average else {}
        return {**self._model.weights, **slots, **averages}

    @tf.function(autograph=False)
    def synchronize(self) -> None:
        """Gives every replica the mean of batch norm's statistics, so that all evaluate and save the same net."""
        for name, mean in mean_statistics(self._model.weights).items():
            self._strategy.extended.update(self._model.weights[name], lambda v, m: v.assign(m), args=(mean,))

    def _mean(self, votes: tf.Tensor) -> tf.Tensor:
        if self._strategy.num_replicas_in_sync == 1:
            return votes
        return self._strategy.reduce(tf.distribute.ReduceOp.MEAN, self._strategy.run(lambda: votes), axis=None)


def working_copy(name: str, weight: Any) -> Any:
    """A kernel or bias in bfloat16; batch norm keeps its float32 variables, as its fused kernels want them."""
    if "BatchNorm" in name or name.endswith(MOVING_STATISTICS):
        return weight
    return tf.cast(weight, tf.bfloat16)
