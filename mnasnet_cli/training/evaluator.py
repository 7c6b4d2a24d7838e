"""Evaluation during training: every example of the validation split once, on all devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.console import progress
from mnasnet_cli.distributed.strategy import Processes, share_of
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.tasks.base import Evaluation, Task
from mnasnet_cli.training.optimization.batch_parts import split_batch


class Evaluator:
    """Evaluates a net on the validation split. It is compiled once and used after every epoch."""

    def __init__(self, task: Task, model: SlimModule, weights: Mapping[str, Any] | None, *, batch_size: int):
        """Prepares the evaluation; `weights` (such as averages) replace the model's own, by name."""
        self._task = task
        self._strategy = tf.distribute.get_strategy()
        self._processes = Processes(self._strategy)
        self._batch_size = batch_size

        parts = task.config.training.batch_parts
        parts = parts if batch_size % parts == 0 else 1

        def outputs(batch: Any) -> dict[str, tf.Tensor]:
            results = [task.eval_outputs(model, part, weights) for part in split_batch(batch, parts)]
            return {name: tf.concat([result[name] for result in results], 0) for name in results[0]}

        self._outputs: Callable[[Any], Any] = tf.function(
            lambda batch: self._strategy.run(outputs, args=(batch,)), autograph=False, reduce_retracing=True
        )

    def __call__(self, examples: int | None = None) -> Evaluation:
        """Evaluate; `examples` is the size of the split, for the progress bar."""
        replicas = self._strategy.num_replicas_in_sync
        batches = self._strategy.distribute_datasets_from_function(
            lambda context: self._task.eval_batches(share_of(context, self._batch_size * replicas))
        )
        outputs: dict[str, list[np.ndarray]] = {}
        with progress("evaluate", examples) as bar:
            done = 0
            for batch in batches:
                for name, values in self._outputs(batch).items():
                    local = self._strategy.experimental_local_results(values)
                    outputs.setdefault(name, []).extend(value.numpy() for value in local)
                done += self._batch_size * replicas
                bar.update(min(done, examples or done))
        gather = self._processes.gather  # once at the end, so that no process waits for another in between
        return self._task.summarize({name: gather(np.concatenate(values)) for name, values in outputs.items()})
