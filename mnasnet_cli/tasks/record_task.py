"""What the two jobs have in common: a folder of records, and images that are normalised as the configuration says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.config import Config
from mnasnet_cli.data.augment import normalize
from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.data.record_folder import RecordFolder
from mnasnet_cli.errors import DataError
from mnasnet_cli.tasks.task import Weights
from mnasnet_cli.variables import SlimModule


class RecordTask:
    """The parts of `tasks.task.Task` that do not differ from job to job."""

    records: RecordFolder
    """Of the job's kind."""

    def __init__(self, config: Config, records: RecordFolder):
        self.config, self.records = config, records

    @property
    def data_fingerprint(self) -> str:
        return self.records.fingerprint

    @property
    def steps_per_epoch(self) -> int:
        return self.records.steps_per_epoch

    @property
    def eval_examples(self) -> int:
        return self.records.eval_examples

    def train_batches(self, epoch: int, image_size: int, skip_examples: int, share: Share) -> tf.data.Dataset:
        return self.records.train_batches(epoch, image_size, skip_examples, share)

    def eval_batches(self, share: Share) -> tf.data.Dataset:
        return self.records.eval_batches(self.config.eval_size, share)

    def train_names(self, epoch: int, first: int, count: int) -> list[str]:
        return self.records.train_filenames(epoch, range(first, first + count))

    def verify_records(self, *, images: bool = False) -> None:
        self.records.verify(images=images)

    def forward(self, model: SlimModule, batch: Any, weights: Weights, **mode: Any) -> Any:
        """What the net gives for a batch's images [N, S, S, 3] float32 in [0, 255]; in bfloat16 if its weights are."""
        data = self.config.data
        images = normalize(batch.images, data.mean, data.deviation)
        if weights is not None and any(weight.dtype == tf.bfloat16 for weight in weights.values()):
            images = tf.cast(images, tf.bfloat16)
        return model(images, variables=weights, **mode)

    def _first_batch(self, count: int) -> Any:
        """The first `count` training images as a batch, or fewer: a small set may have no more than the batch size."""
        count = min(count, self.config.training.batch_size)
        return next(iter(self.train_batches(0, self.config.data.image_size, 0, Share(batch_size=count))))

    def _only(self, real: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs without padding, `real` [N] bool; DataError where they are not as many as the split has."""
        if real.sum() != self.eval_examples:
            self.verify_records()
            raise DataError(
                f"{self.records.directory} gave {real.sum()} of its {self.eval_examples} validation images; its "
                f"records changed while they were read"
            )
        return {name: values[real] for name, values in outputs.items()}


def model_info(
    config: Config, labels: Sequence[str], names: Sequence[str], preprocessing: dict[str, Any]
) -> dict[str, Any]:
    """What the checkpoints of any net say of it; `preprocessing` is what only nets of its kind have besides."""
    data = config.data
    return {
        "task": config.task,
        "variant": config.model.variant,
        "width": config.model.width,
        "net": config.model.net.changes,
        "labels": list(labels),
        "names": list(names),
        "preprocessing": {
            "image_size": config.eval_size,
            **preprocessing,
            "interpolation": data.interpolation,
            "antialias": data.antialias,
            "mean": list(data.mean),
            "deviation": list(data.deviation),
        },
    }
