"""The training loop of every task."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.console import duration, progress
from mnasnet_cli.distributed.strategy import Processes, share_of
from mnasnet_cli.metrics.plots import plot_curves
from mnasnet_cli.runs.directory import CURVES_FILE, RunDirectory, read_metrics
from mnasnet_cli.runs.events import EventLog
from mnasnet_cli.tasks.base import Evaluation, Task
from mnasnet_cli.training import schedules
from mnasnet_cli.training.checkpoint_manager import CheckpointManager
from mnasnet_cli.training.divergence import NotFinite, not_finite
from mnasnet_cli.training.ema import MovingAverage
from mnasnet_cli.training.evaluator import Evaluator
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimizers import Optimizer
from mnasnet_cli.training.precise_batch_norm import PreciseBatchNorm
from mnasnet_cli.training.signals import StopRequest
from mnasnet_cli.training.steps import MAX_STEPS, StepsResult, TrainSteps
from mnasnet_cli.training.timing import Clock

LOGS_PER_EPOCH = 20
CALL_SECONDS = 2.0  # a call of the compiled steps should last about so long: the bar moves, and SIGTERM is heard


class Trainer:
    """One run, from where its directory stands to the end of its last epoch."""

    def __init__(self, task: Task, run: RunDirectory, initial_weights: Mapping[str, np.ndarray], stop: StopRequest):
        self.task, self.run, self.stop = task, run, stop
        self.config = task.config
        tf.random.set_seed(self.config.training.seed)
        self.strategy = tf.distribute.get_strategy()
        self.processes = Processes(self.strategy)
        self.model = task.make_model()
        for name, value in initial_weights.items():
            self.model.weights[name].assign(value)
        self.steps_per_epoch = task.steps_per_epoch
        self.total_steps = self.steps_per_epoch * self.config.training.epochs
        self.plan = FinetunePlan(self.config, self.model.trainable, self.steps_per_epoch)
        self.optimizer = Optimizer(self.config.optimizer, self.model.trainable, self.model.regularized, self.plan)
        self.average = MovingAverage(self.model.weights) if self.config.training.ema_decay else None
        self.steps = TrainSteps(task, self.model, self.optimizer, self.average, self.plan)
        averaged = self.average.weights if self.average else None
        self.precise_batch_norm = PreciseBatchNorm(task, self.model, averaged)
        self.evaluator = Evaluator(task, self.model, averaged, batch_size=self.config.training.eval_batch_size)
        self.checkpoints = CheckpointManager(
            run.path,
            self.model,
            self.optimizer,
            self.average,
            task.model_info(),
            keep=self.config.training.keep_checkpoints,
            chief=self.processes.chief,
        )
        self._call_steps = 1
        self._losses: list[float] = []  # of the steps since the last line of metrics
        self.evaluation: Evaluation | None = None

    def train(self) -> dict[str, Any]:
        """Trains to the end and returns the results. The order below is what makes a resume exact."""
        # 1. Weights, slots, averages and the step, from the newest whole checkpoint.
        metric = self.task.metric
        step = 0
        with self.processes.together("restored"):
            if self.processes.chief:
                step, self._losses = self.checkpoints.restore(self.run.path)
        # 2. Metrics and events of steps that will be done again are dropped.
        before = self.run.resume_metrics(step)
        self._recorded = [line["step"] for line in before if line["split"] == "validation"]
        self.clock = Clock.after(before)
        self.best = max((line[metric] for line in before if metric in line), default=-math.inf)
        if self.processes.several:
            step = self._follow_chief(step)
        self.events = EventLog(self.run.path, step, writer=self.processes.chief)
        if step:
            self.run.log(f"going on from step {step:,} of {self.total_steps:,}")
        else:
            self.events.images("augmented", self.task.sample_images(16), step=0)
        # 3. The examples from that step on: order and augmentation follow from seed, epoch and position.
        with progress("train", self._images(self.total_steps), start=self._images(step)) as bar:
            while step < self.total_steps:
                step = self._epoch(step, bar)
        return self._finish(step)

    def _epoch(self, step: int, bar: Any) -> int:
        """Trains from a step to the end of its epoch, evaluates and saves; returns the step reached."""
        steps_per_epoch = self.steps_per_epoch
        epoch, done = divmod(step, steps_per_epoch)
        batches = self._batches(epoch, done)
        self._saved = time.monotonic()
        log_every = max(1, steps_per_epoch // LOGS_PER_EPOCH)
        while done < steps_per_epoch:
            # A call ends at the latest where something is due: a log line or the end of the epoch.
            until_due = min(log_every - done % log_every, steps_per_epoch - done)
            result, taken = self._call(batches, step, min(self._call_steps, until_due))
            step, done = step + taken, done + taken
            stop, save = (float(vote) > 0.0 for vote in result.votes[:2])
            bar.update(self._images(step), loss=f"{float(result.last_loss):.3f}")
            if done == steps_per_epoch or done % log_every == 0:
                self._log_training(step)
            if done == steps_per_epoch:
                self._epoch_end(step)
            elif stop or save:
                self._save(step)
            if stop:
                raise self.stop.outcome(f"the checkpoint of step {step:,} is saved, start again to go on")
        return step

    def _batches(self, epoch: int, done: int) -> Any:
        """Iterator over the batches of an epoch, of which `done` steps were taken before."""
        training = self.config.training
        part, skip = training.batch_size // training.accumulate_steps, self._images(done)
        size = self.config.image_size_at(epoch)
        return iter(
            self.strategy.distribute_datasets_from_function(
                lambda context: self.task.train_batches(epoch, size, skip, share_of(context, part))
            )
        )

    def _call(self, batches: Any, step: int, count: int) -> tuple[StepsResult, int]:
        """Takes `count` steps in one call of the compiled function."""
        steps = range(step, step + count)
        limit = self.config.training.ema_decay
        save = time.monotonic() - self._saved > 60 * self.config.training.checkpoint_minutes
        with self.clock.running(count * self.config.training.batch_size):
            result = self.steps(
                batches,
                tf.constant(step, tf.int64),
                tf.constant([self._learning_rate(s) for s in steps], tf.float32),
                tf.constant([schedules.ema_decay(limit, s) for s in steps], tf.float32),
                tf.constant([self.stop.requested, save, self._call_steps], tf.float32),
                self.plan.frozen_until(step // self.steps_per_epoch),
            )
            taken = int(result.done)
        if not math.isfinite(float(result.last_loss)):
            raise self._not_finite(step + taken - 1, f"the loss is {float(result.last_loss)}")
        self._losses += result.losses.numpy()[:taken].tolist()
        # At most doubled: the first call's time is mostly that of compiling.
        fitting = int(CALL_SECONDS * taken / self.clock.last_seconds)
        self._call_steps = max(1, min(2 * self._call_steps, fitting, MAX_STEPS))
        if self.processes.several:  # their clocks differ, but they must take the same steps
            self._call_steps = int(result.votes[2])
        return result, taken

    def _not_finite(self, step: int, what: str) -> NotFinite:
        return not_finite(self.task, step, what, kept_step=self.checkpoints.kept_step, run_dir=self.run.path)

    def _log_training(self, step: int) -> None:
        loss = math.fsum(self._losses) / len(self._losses)
        self._losses = []
        rate = self._learning_rate(step - 1)
        self._record("train", step, loss=loss, learning_rate=rate, images_per_second=self.clock.images_per_second())

    def _save(self, step: int) -> None:
        """Saves a checkpoint, but never one that can't be gone on from: the last update may have broken the weights."""
        self.steps.synchronize()
        if not self.checkpoints.is_finite():
            raise self._not_finite(step - 1, "the weights became infinite or NaN")
        self.checkpoints.save(step, self._losses)
        self._saved = time.monotonic()

    def _epoch_end(self, step: int) -> None:
        """Evaluates where that is due, then saves: a checkpoint never lacks the metrics of its step."""
        epoch, every = step // self.steps_per_epoch, self.config.training.eval_every_epochs
        if step == self.total_steps or (every and epoch % every == 0):
            if self.config.finetune.recalibrate_batches:
                with self.clock.running():  # on the first batches of the epoch, whichever steps this process took
                    self.precise_batch_norm(self._batches(epoch - 1, 0), self.plan.frozen_until(epoch - 1))
            self._evaluate(step)
        self._save(step)

    def _evaluate(self, step: int) -> None:
        self.steps.synchronize()
        with self.clock.running():
            self.evaluation = self.evaluator(self.task.eval_examples)
        images_per_second = self.task.eval_examples / max(self.clock.last_seconds, 1e-9)
        numbers = {key: value for key, value in self.evaluation.summary.items() if isinstance(value, float)}
        if not math.isfinite(numbers.get("loss", 0.0)):
            raise self._not_finite(step - 1, f"the validation loss is {numbers['loss']}")
        if step not in self._recorded:
            rate = self._learning_rate(step - 1)  # the keys of all lines are the same, but for the metrics
            self._record("validation", step, **numbers, learning_rate=rate, images_per_second=images_per_second)
        epoch, epochs = step // self.steps_per_epoch, self.config.training.epochs
        shown = "  ".join(f"{key} {value:.4f}" for key, value in numbers.items())
        self.run.log(f"epoch {epoch} of {epochs}  {shown}  ({duration(self.clock.seconds)})")
        if self.processes.chief:
            plot_curves(read_metrics(self.run.path), self.task.metric, self.run.path / CURVES_FILE)
        if numbers.get(self.task.metric, -math.inf) > self.best:
            self.best = numbers[self.task.metric]
            self.checkpoints.save_best(step)  # the weights are finite, or the loss would not be

    def _record(self, split: str, step: int, **values: float) -> None:
        self.events.scalars(split, values, step)
        clock = {"seconds": round(self.clock.seconds, 3), "cpu_seconds": round(self.clock.cpu_seconds, 3)}
        self.run.add_metrics(step=step, epoch=step / self.steps_per_epoch, split=split, **values, **clock)

    def _finish(self, step: int) -> dict[str, Any]:
        """The results, written once the run is whole; a run that was already whole is evaluated again."""
        if self.evaluation is None:
            self._evaluate(step)
        assert self.evaluation is not None
        results = {
            "task": self.config.dataset,
            "variant": self.config.model.variant,
            "width": self.config.model.width,
            "image_size": self.config.eval_size,
            "epochs": self.config.training.epochs,
            "steps": step,
            "seconds": self.clock.seconds,
            "cpu_seconds": self.clock.cpu_seconds,
            f"best_{self.task.metric}": self.best if math.isfinite(self.best) else None,
            **self.evaluation.summary,
        }
        if self.processes.several:
            same = self.processes.check_identical("ended", self.steps.variables)
            self.run.log(f"all replicas hold the same weights and statistics (sha256 {same[:16]}…)")
        self.run.write_results(results)
        return results

    def _follow_chief(self, step: int) -> int:
        """Takes everything that the chief read from its run directory, which others may not even see."""
        mine = json.dumps({"step": step, "best": self.best, "losses": self._losses})
        theirs = json.loads(self.processes.exchange("resumed", mine)[0])
        self.best, self._losses = theirs["best"], theirs["losses"]
        self.processes.broadcast(self.steps.variables)
        return int(theirs["step"])

    def _learning_rate(self, step: int) -> float:
        factor = schedules.factor(self.config.schedule, step, self.steps_per_epoch, self.total_steps)
        return self.config.learning_rate * factor

    def _images(self, step: int) -> int:
        return step * self.config.training.batch_size
