"""The compiled training loop: several steps in one call."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from mnasnet_cli.distributed.strategy import mean_statistics
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.tasks.base import Task
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimization.ema import MovingAverage
from mnasnet_cli.training.optimization.gradients import BatchGradients
from mnasnet_cli.training.optimization.optimizers import Optimizer

MAX_STEPS = 100  # per call


class StepsResult(NamedTuple):
    """The result of a call of `TrainSteps`."""

    done: tf.Tensor
    """[] int32: steps taken, including one whose loss is not finite."""
    losses: tf.Tensor
    """[MAX_STEPS, 1 + K] float32: the loss of each step taken and its terms (`Task.train_loss`), then zeros."""
    last_loss: tf.Tensor
    """[] float32; not finite if the call stopped early."""
    votes: tf.Tensor
    """[k] float32: the mean of the `votes` of all replicas."""


class TrainSteps:
    """Takes training steps until the requested number is done or a loss is not finite."""

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
        self._strategy = tf.distribute.get_strategy()

    def __call__(
        self,
        iterator: Any,
        first_step: tf.Tensor,
        learning_rates: tf.Tensor,
        ema_decays: tf.Tensor,
        votes: tf.Tensor,
        frozen_until: str | None = None,
    ) -> StepsResult:
        """Takes n steps, at most MAX_STEPS.

        Args:
          iterator: yields batches, `accumulate_steps` of them per step.
          first_step: [] int64, steps done before the call.
          learning_rates: [n] float32, the learning rate of each step.
          ema_decays: [n] float32, the decay of the moving average at each step.
          votes: [k] float32, this process's values for decisions that all processes must take alike.
          frozen_until: the last frozen layer; None trains all layers.
        """
        # Padded to one length: each length would be traced to a graph of its own, which takes half a minute.
        count = len(learning_rates)
        rates, decays = (tf.pad(values, [[0, MAX_STEPS - count]]) for values in (learning_rates, ema_decays))
        return self._run(iterator, first_step, tf.constant(count), rates, decays, votes, frozen_until)

    @tf.function(autograph=False)
    def _run(
        self,
        iterator: Any,
        first_step: tf.Tensor,
        count: tf.Tensor,
        rates: tf.Tensor,
        decays: tf.Tensor,
        votes: tf.Tensor,
        frozen_until: str | None,
    ) -> StepsResult:
        """`count` steps, in one graph per image size and per set of frozen layers."""
        names = self._plan.trained(self._model.trainable, frozen_until)
        weights = {name: self._model.weights[name] for name in names}
        batch_gradients = BatchGradients(self._task, self._model, weights, frozen_until)

        def condition(done: tf.Tensor, losses: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
            return (done < count) & tf.math.is_finite(last)

        def body(done: tf.Tensor, losses: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            step = first_step + tf.cast(done, tf.int64)
            loss, gradients = batch_gradients(iterator, step)
            self._optimizer.apply(weights, gradients, rates[done], step)
            if self._average is not None:
                self._average.update(self._model.weights, decays[done])
            # Every loss by itself: the number of steps per call depends on timing, and a mean must not depend on it.
            return done + 1, tf.where(tf.range(MAX_STEPS)[:, tf.newaxis] == done, loss, losses), loss[0]

        no_losses = tf.zeros([MAX_STEPS, 1 + len(self._task.loss_terms)])
        done, losses, last = tf.while_loop(condition, body, [0, no_losses, 0.0])
        return StepsResult(done, losses, last, self._mean(votes))

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All variables that training changes, by name."""
        slots = {f"{name}/{slot}": v for slot, group in self._optimizer.slots.items() for name, v in group.items()}
        averages = {f"{name}/average": v for name, v in self._average.weights.items()} if self._average else {}
        return {**self._model.weights, **slots, **averages}

    @tf.function(autograph=False)
    def synchronize(self) -> None:
        """Sets batch norm's statistics to their mean over the replicas, so that all evaluate and save the same net."""
        for name, mean in mean_statistics(self._model.weights).items():
            self._strategy.extended.update(self._model.weights[name], lambda v, m: v.assign(m), args=(mean,))

    def _mean(self, votes: tf.Tensor) -> tf.Tensor:
        if self._strategy.num_replicas_in_sync == 1:
            return votes
        return self._strategy.reduce(tf.distribute.ReduceOp.MEAN, self._strategy.run(lambda: votes), axis=None)
