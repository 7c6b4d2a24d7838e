"""The training loop of all tasks."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.console import begin, progress
from mnasnet_cli.distributed.strategy import Processes, share_of
from mnasnet_cli.metrics import plots
from mnasnet_cli.runs.directory import CURVES_FILE, RunDirectory
from mnasnet_cli.runs.run_files import read_metrics, scores_in
from mnasnet_cli.system.documents import parse_json
from mnasnet_cli.tasks.base import Evaluation, Task
from mnasnet_cli.tracking.evaluation_events import EvaluationEvents
from mnasnet_cli.tracking.events import EventLog
from mnasnet_cli.training.advice import poor_result
from mnasnet_cli.training.checkpoint_manager import CheckpointManager
from mnasnet_cli.training.divergence import DivergenceError, divergence_error
from mnasnet_cli.training.early_stopping import stops_early
from mnasnet_cli.training.evaluated_batch_norm import EvaluatedBatchNorm
from mnasnet_cli.training.evaluator import Evaluator
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimization import ema
from mnasnet_cli.training.optimization.optimizers import Optimizer, learning_rate_factor
from mnasnet_cli.training.reporting import describe_training, epoch_line
from mnasnet_cli.training.signals import StopRequest
from mnasnet_cli.training.steps import MAX_STEPS, StepsResult, TrainSteps
from mnasnet_cli.training.timing import Timer

LOGS_PER_EPOCH = 20
CURVES_SECONDS = 10.0  # the picture of the curves is at most that old, and complete at the end; it takes half a second
CALL_SECONDS = 2.0  # target length of a call of the compiled steps; progress and SIGTERM are handled between calls


class Trainer:
    """Trains one run from the state of its directory to the end of its last epoch."""

    def __init__(
        self,
        task: Task,
        run: RunDirectory,
        initial_weights: Mapping[str, np.ndarray],
        stop: StopRequest,
        timer: Timer,
    ):
        self.task, self.run, self.stop, self.timer = task, run, stop, timer
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
        self.average = ema.MovingAverage(self.model.weights) if self.config.training.ema_decay else None
        self.steps = TrainSteps(task, self.model, self.optimizer, self.average, self.plan)
        averaged = self.average.weights if self.average else None
        self.evaluated_batch_norm = EvaluatedBatchNorm(task, self.model, averaged)
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
        self._losses: list[list[float]] = []  # and their terms, of the steps since the last line of metrics
        self._scores: list[float] = []  # of the evaluations, in order
        self._last_loss = math.nan  # in the last line of metrics
        self._drawn_at = time.monotonic()
        self.evaluation: Evaluation | None = None
        self.after_epoch: Callable[[], None] = lambda: None

    def train(self) -> dict[str, Any]:
        """Train to the end and return the results. The order below makes a resume exact."""
        # 1. Restore weights, slots, averages and the step from the newest complete checkpoint.
        metric = self.task.metric
        step = 0
        with self.processes.together("restored"):
            if self.processes.chief:
                step, self._losses = self.checkpoints.restore(self.run.path)
        # 2. Drop the metrics and events of steps that will be repeated.
        self.timer.add_earlier(**self.run.earlier_time())
        before = self.run.resume_metrics(step)
        self._evaluated_steps = [line["step"] for line in before if line["split"] == "validation"]
        self._scores = scores_in(before, metric)
        if self.processes.several:
            step = self._follow_chief(step)
        self.events = EventLog(self.run.path, writer=self.processes.chief, step=step)
        self.evaluation_events = EvaluationEvents(self.task, self.events)
        for line in describe_training(self.task, self.model):
            self.run.log(line)
        if step:
            self.run.log(f"resuming from step {step:,} of {self.total_steps:,}")
        else:
            self.events.settings(self.config, self.run.path.resolve().name)
            self.events.images("train", "augmented", self.task.sample_images(16), step=0)
        if step < self.total_steps and not self._stops_early:
            begin("compiling the training step and reading the first images")
        # 3. Skip the examples before that step. Their order and augmentation depend on seed, epoch and position only.
        with progress("train", self._images(self.total_steps), start=self._images(step)) as bar:
            while step < self.total_steps and not self._stops_early:
                step = self._train_epoch(step, bar)
        return self._finish(step)

    @property
    def best(self) -> float:
        """The best score so far; -inf before the first evaluation."""
        return max(self._scores, default=-math.inf)

    @property
    def _stops_early(self) -> bool:
        return stops_early(self._scores, self.config.training.patience)

    def _train_epoch(self, step: int, bar: Any) -> int:
        """Train from a step to the end of its epoch, evaluate and save; return the step reached."""
        steps_per_epoch = self.steps_per_epoch
        epoch, done = divmod(step, steps_per_epoch)
        batches = self._batches(epoch, done)
        self._saved_at = time.monotonic()
        log_every = max(1, steps_per_epoch // LOGS_PER_EPOCH)
        while done < steps_per_epoch:
            # A call ends at the latest at the next log line or at the end of the epoch.
            until_due = min(log_every - done % log_every, steps_per_epoch - done)
            result, taken = self._take_steps(batches, step, min(self._call_steps, until_due))
            step, done = step + taken, done + taken
            stop, save = (float(vote) > 0.0 for vote in result.votes[:2])
            bar.update(self._images(step), left=self._seconds_left(step), loss=f"{float(result.last_loss):.3f}")
            if done == steps_per_epoch or done % log_every == 0:
                self._log_training(step)
            if done == steps_per_epoch:
                with self.timer.measure_epoch_end():
                    self._end_epoch(step)
                    self.after_epoch()
            elif stop or save:
                self._save(step)
            if stop:
                raise self.stop.error(f"saved a checkpoint of step {step:,}; start the command again to resume")
        return step

    def _seconds_left(self, step: int) -> float:
        epochs_left = -(-(self.total_steps - step) // self.steps_per_epoch)
        return self.timer.seconds_left(self._images(self.total_steps - step), epochs_left)

    def _batches(self, epoch: int, done: int) -> Any:
        """Return an iterator over the batches of an epoch after its first `done` steps."""
        training = self.config.training
        part, skip = training.batch_size // training.accumulate_steps, self._images(done)
        size = self.config.image_size_at(epoch)
        return iter(
            self.strategy.distribute_datasets_from_function(
                lambda context: self.task.train_batches(epoch, size, skip, share_of(context, part))
            )
        )

    def _take_steps(self, batches: Any, step: int, count: int) -> tuple[StepsResult, int]:
        """Take `count` steps in one call of the compiled function; return its result and the steps taken."""
        steps = range(step, step + count)
        limit = self.config.training.ema_decay
        save = time.monotonic() - self._saved_at > 60 * self.config.training.checkpoint_minutes
        with self.timer.measure_steps(count * self.config.training.batch_size):
            result = self.steps(
                batches,
                tf.constant(step, tf.int64),
                tf.constant([self._learning_rate(s) for s in steps], tf.float32),
                tf.constant([ema.decay_at(limit, s) for s in steps], tf.float32),
                tf.constant([self.stop.requested, save, self._call_steps], tf.float32),
                self.plan.frozen_until(step // self.steps_per_epoch),
            )
            taken = int(result.done)
        if not math.isfinite(float(result.last_loss)):
            raise self._divergence_error(step + taken - 1, f"the loss is {float(result.last_loss)}")
        self._losses += result.losses.numpy()[:taken].tolist()
        # At most doubled: most of the first call's time is compilation.
        fitting = int(CALL_SECONDS * taken / self.timer.last_seconds)
        self._call_steps = max(1, min(2 * self._call_steps, fitting, MAX_STEPS))
        if self.processes.several:  # their timings differ, but they must take the same number of steps
            self._call_steps = int(result.votes[2])
        return result, taken

    def _divergence_error(self, step: int, what: str) -> DivergenceError:
        return divergence_error(self.task, step, what, kept_step=self.checkpoints.kept_step, run_dir=self.run.path)

    def _log_training(self, step: int) -> None:
        names, columns = ("loss", *self.task.loss_terms), zip(*self._losses, strict=True)
        means = {name: math.fsum(values) / len(values) for name, values in zip(names, columns, strict=True)}
        self._last_loss = means["loss"]
        self._losses = []
        rate = self._learning_rate(step - 1)
        self._record("train", step, **means, learning_rate=rate, images_per_second=self.timer.images_per_second())

    def _save(self, step: int) -> None:
        """Save a checkpoint unless the weights are not finite: the last update may have broken them."""
        self.steps.synchronize()
        if not self.checkpoints.is_finite():
            raise self._divergence_error(step - 1, "the weights became infinite or NaN")
        self.checkpoints.save(step, self._losses)
        self._saved_at = time.monotonic()

    def _end_epoch(self, step: int) -> None:
        """Evaluate if it is due, then save: a checkpoint never lacks the metrics of its step."""
        epoch, every = step // self.steps_per_epoch, self.config.training.eval_every_epochs
        if step == self.total_steps or (every and epoch % every == 0 and self.task.has_eval_examples):
            # On the first batches of the epoch, even if it was resumed in the middle.
            first_batches = functools.partial(self._batches, epoch - 1, 0)
            self.evaluated_batch_norm(first_batches, self.plan.frozen_until(epoch - 1))
            if self.task.has_eval_examples:
                self._evaluate(step)
        if not self.task.has_eval_examples:
            self._report_epoch(step, {"training loss": self._last_loss})
        self._save(step)

    def _evaluate(self, step: int) -> None:
        self.steps.synchronize()
        with self.timer.measure():
            self.evaluation = self.evaluator(self.task.eval_examples)
        images_per_second = self.task.eval_examples / max(self.timer.last_seconds, 1e-9)
        numbers = {key: value for key, value in self.evaluation.summary.items() if isinstance(value, float)}
        if not math.isfinite(numbers.get("loss", 0.0)):
            raise self._divergence_error(step - 1, f"the validation loss is {numbers['loss']}")
        if step not in self._evaluated_steps:
            rate = self._learning_rate(step - 1)  # lines of both splits have the same keys, except for the metrics
            self._record("validation", step, **numbers, learning_rate=rate, images_per_second=images_per_second)
            if self.processes.chief:
                self._show_evaluation(self.evaluation, step)
        self._report_epoch(step, numbers)
        score = numbers.get(self.task.metric)
        if score is not None and step not in self._evaluated_steps:
            is_best = score > self.best
            self._scores.append(score)
            if is_best:
                self.checkpoints.save_best(step)  # the weights are finite, because the loss is

    def _show_evaluation(self, evaluation: Evaluation, step: int) -> None:
        try:
            self.evaluation_events.write(evaluation, step)
        except Exception as error:  # whatever it is, the training itself goes on
            self.run.warn(f"TensorBoard's pictures of the evaluation were not written ({error})")

    def _report_epoch(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the numbers of an epoch, and draw the curves if the picture is old."""
        epoch, epochs = step // self.steps_per_epoch, self.config.training.epochs
        self.run.log(epoch_line(epoch, epochs, numbers, self.timer.seconds))
        if time.monotonic() - self._drawn_at > CURVES_SECONDS:
            self._draw_curves()

    def _draw_curves(self) -> None:
        if self.processes.chief:
            plots.plot_curves(read_metrics(self.run.path), self.task.metric, self.run.path / CURVES_FILE)
        self._drawn_at = time.monotonic()

    def _record(self, split: str, step: int, **values: float) -> None:
        self.events.scalars(split, values, step)
        times = {"seconds": round(self.timer.seconds, 3), "cpu_seconds": round(self.timer.cpu_seconds, 3)}
        self.run.add_metrics(step=step, epoch=step / self.steps_per_epoch, split=split, **values, **times)

    def _finish(self, step: int) -> dict[str, Any]:
        """Write and return the results. A run that was already complete is evaluated again."""
        if self.evaluation is None and self.task.has_eval_examples:
            self._evaluate(step)
        summary = self.evaluation.summary if self.evaluation else {self.task.metric: None}
        results = {
            "task": self.config.dataset,
            "variant": self.config.model.variant,
            **({"table": self.config.model.table.digest} if self.config.model.table else {}),
            "width": self.config.model.width,
            "image_size": self.config.eval_size,
            "epochs": self.config.training.epochs,
            "steps": step,
            "seconds": self.timer.seconds,
            "cpu_seconds": self.timer.cpu_seconds,
            "stopped_early": step < self.total_steps,
            f"best_{self.task.metric}": self.best if math.isfinite(self.best) else None,
            **({"teacher": self.run.teacher} if self.run.teacher else {}),
            **summary,
        }
        if self.processes.several:
            digest = self.processes.check_identical("ended", self.steps.variables)
            self.run.log(f"all replicas hold the same weights and statistics (sha256 {digest[:16]}…)")
        self._draw_curves()
        self.run.write_results(results)
        self.events.end(step)
        if step < self.total_steps:
            self.run.log(f"stopped early: no better {self.task.metric} for as long as training.patience allows")
        # A student's loss is also that of its teacher, and can't be compared with the validation's.
        train_loss = None if math.isnan(self._last_loss) or self.task.loss_terms else self._last_loss
        for line in poor_result(self.config, self.evaluation, step, train_loss) if self.evaluation else ():
            self.run.warn(line)
        return results

    def _follow_chief(self, step: int) -> int:
        """Take over the state that the chief restored. Other processes may not see its run directory."""
        own = json.dumps({"step": step, "scores": self._scores, "losses": self._losses})
        chief = parse_json(self.processes.exchange("resumed", own)[0], "the state of the chief")
        self._scores, self._losses = chief["scores"], chief["losses"]
        self.processes.broadcast(self.steps.variables)
        return int(chief["step"])

    def _learning_rate(self, step: int) -> float:
        factor = learning_rate_factor(self.config.schedule, step, self.steps_per_epoch, self.total_steps)
        return self.config.learning_rate * factor

    def _images(self, step: int) -> int:
        return step * self.config.training.batch_size
