"""What the training loop asks of a task, and the parts that classification and detection share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.model_io import Preprocessing
from mnasnet_cli.config.schema import Config
from mnasnet_cli.data.pipeline import RecordFolder, Share
from mnasnet_cli.data.preprocessing import normalize
from mnasnet_cli.errors import DataError
from mnasnet_cli.models.slim_module import SlimModule

Weights = Mapping[str, Any] | None
"""Tensors or variables by name that stand in for a model's own; None: its own."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: the numbers of the contract, and the arrays that plots are drawn from."""

    summary: dict[str, Any]
    outputs: dict[str, np.ndarray]


class Task(Protocol):
    """One job: its net, its batches, its loss, its metric. `weights` stand in for the model's own where given."""

    config: Config
    metric: str
    """Key of the summary that says which checkpoint is best: the larger, the better."""
    scratch_note: str
    """What to tell those who start from random weights; "" for nothing."""

    @property
    def data_fingerprint(self) -> str: ...

    @property
    def steps_per_epoch(self) -> int: ...

    @property
    def eval_examples(self) -> int:
        """Examples of the validation split; DataError where there are none."""

    def make_model(self) -> SlimModule:
        """The net with its variables made; called inside of the distribution strategy's scope."""

    def model_info(self) -> dict[str, Any]:
        """What a checkpoint needs to be used without its run: variant, width, labels, preprocessing."""

    def initial_weights(
        self, source: str, info: Mapping[str, Any], weights: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Those of a checkpoint's weights that this net starts from, by its own names; CheckpointError if none fit.

        `info` is what `model_info` said of the checkpoint, `source` its name for messages; variant and width are this
        net's.
        """

    def train_batches(self, epoch: int, image_size: int, skip_examples: int, share: Share) -> tf.data.Dataset: ...

    def forward(self, model: SlimModule, batch: Any, weights: Weights, **mode: Any) -> Any:
        """The net's outputs for a batch; `mode` are `is_training` and what else the net takes besides images."""

    def train_loss(self, model: SlimModule, batch: Any, seed: tf.Tensor, weights: Weights, **mode: Any) -> tf.Tensor:
        """Mean loss [] float32 of a batch, in training mode; `seed` is an int32 [2] for dropout, `mode` as above."""

    def train_names(self, epoch: int, first: int, count: int) -> list[str]:
        """Names of the images at places [first, first + count) of an epoch's order."""

    def verify_records(self, *, images: bool = False) -> None:
        """Raises DataError naming the damaged shard and place, where one is damaged; `images`: decodes all, too."""

    def sample_images(self, count: int) -> np.ndarray:
        """The first augmented training images [count, S, S, 3] uint8, to look at."""

    def eval_batches(self, share: Share) -> tf.data.Dataset: ...

    def eval_outputs(self, model: SlimModule, batch: Any, weights: Weights) -> dict[str, tf.Tensor]:
        """Per-example results of a batch, first axis N; padding is marked so that `summarize` leaves it out."""

    def summarize(self, outputs: dict[str, np.ndarray]) -> Evaluation:
        """The metrics over the gathered per-example results of a whole split."""


class RecordTask:
    """The parts of `tasks.base.Task` that do not differ from job to job."""

    records: RecordFolder
    """Of the job's kind."""

    def __init__(self, config: Config, records: RecordFolder, preprocessing: Preprocessing | None = None):
        self.config, self.records = config, records
        self.preprocessing = preprocessing or config.preprocessing

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
        return self.records.eval_batches(self.preprocessing, share)

    def train_names(self, epoch: int, first: int, count: int) -> list[str]:
        return self.records.train_filenames(epoch, range(first, first + count))

    def verify_records(self, *, images: bool = False) -> None:
        self.records.verify(images=images)

    def forward(self, model: SlimModule, batch: Any, weights: Weights, **mode: Any) -> Any:
        """What the net gives for a batch's images [N, S, S, 3] float32 in [0, 255]; in bfloat16 if its weights are."""
        images = normalize(batch.images, self.preprocessing)
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
