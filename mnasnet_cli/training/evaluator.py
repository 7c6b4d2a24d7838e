"""Evaluation of a net over a whole split: every example once, on whatever devices there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.console import progress
from mnasnet_cli.distributed.strategy import Processes, share_of
from mnasnet_cli.models.slim_module import SlimModule
from mnasnet_cli.tasks.base import Evaluation, Task
from mnasnet_cli.training.batch_parts import split_batch


class Evaluator:
    """Runs the net in inference mode over the validation split; compiled once, used after every epoch.

    `weights` (such as moving averages) stand in for the model's own, by name.
    """

    def __init__(self, task: Task, model: SlimModule, weights: Mapping[str, Any] | None, *, batch_size: int):
        self._task = task
        self._strategy = tf.distribute.get_strategy()
        self._processes = Processes(self._strategy)
        self._batch_size = batch_size

        parts = task.config.training.batch_parts
        parts = parts if batch_size % parts == 0 else 1

        def outputs(batch: Any) -> dict[str, tf.Tensor]:
            found = [task.eval_outputs(model, part, weights) for part in split_batch(batch, parts)]
            return {name: tf.concat([part[name] for part in found], 0) for name in found[0]}

        self._outputs: Callable[[Any], Any] = tf.function(
            lambda batch: self._strategy.run(outputs, args=(batch,)), autograph=False, reduce_retracing=True
        )

    def __call__(self, examples: int | None = None) -> Evaluation:
        """Evaluates; `examples` is the size of the split, for the progress bar."""
        replicas = self._strategy.num_replicas_in_sync
        batches = self._strategy.distribute_datasets_from_function(
            lambda context: self._task.eval_batches(share_of(context, self._batch_size * replicas))
        )
        found: dict[str, list[np.ndarray]] = {}
        with progress("evaluate", examples) as bar:
            done = 0
            for batch in batches:
                for name, values in self._outputs(batch).items():
                    local = self._strategy.experimental_local_results(values)
                    found.setdefault(name, []).extend(value.numpy() for value in local)
                done += self._batch_size * replicas
                bar.update(min(done, examples or done))
        gather = self._processes.gather  # once at the end, so that none waits for another before
        return self._task.summarize({name: gather(np.concatenate(parts)) for name, parts in found.items()})
