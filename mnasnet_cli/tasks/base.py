"""The interface between a task and the training loop, and what both tasks have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.distillation import TeacherRecord
from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.config.schema import Config
from mnasnet_cli.data.pipeline import RecordFolder, Share
from mnasnet_cli.data.preprocessing import normalize
from mnasnet_cli.errors import DataError
from mnasnet_cli.modules.slim_module import SlimModule

Net = Callable[..., Any]
"""A `SlimModule`, or one whose further arguments are bound."""

Weights = Mapping[str, Any] | None
"""Tensors or variables by name that replace a model's own; None: use its own."""


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation: the metrics, and the arrays that plots are drawn from."""

    summary: dict[str, Any]
    outputs: dict[str, np.ndarray]


class Teacher(Protocol):
    """A classifier that a student learns from."""

    record: TeacherRecord

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Return its logits for the classes of the records, [N, C] float32, without a gradient.

        images: [N, H, W, 3] float32 in [0, 255], as the student sees them.
        """


class Task(Protocol):
    """One task: its net, its batches, its loss, its metric. `weights` replace the model's own if they are given."""

    config: Config
    metric: str
    """Key of the summary that selects the best checkpoint; larger is better."""

    @property
    def scratch_note(self) -> str:
        """A hint for runs that start from random weights, or ""."""

    @property
    def data_fingerprint(self) -> str: ...

    @property
    def train_examples(self) -> int: ...

    @property
    def steps_per_epoch(self) -> int: ...

    @property
    def eval_examples(self) -> int:
        """Examples of the split that is evaluated; DataError if there are none."""

    @property
    def has_eval_examples(self) -> bool: ...

    def make_model(self) -> SlimModule:
        """Build the net; called in the scope of the distribution strategy."""

    def model_info(self) -> dict[str, Any]:
        """See `modules.info.model_info`."""

    def initial_weights(
        self, source: str, info: Mapping[str, Any], weights: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the weights of a checkpoint that this net starts from, by this net's names.

        `info` is the checkpoint's `model_info`, `source` its name in messages. Variant and width equal this net's.

        Raises:
          CheckpointError: the weights do not fit.
        """

    def train_batches(self, epoch: int, image_size: int, skip_examples: int, share: Share) -> tf.data.Dataset: ...

    def forward(self, net: Net, batch: Any, weights: Weights, **arguments: Any) -> Any:
        """Return the net's outputs for a batch; `arguments` are those of the net besides the images."""

    @property
    def loss_terms(self) -> tuple[str, ...]:
        """The names of the K terms of the training loss that metrics show beside it."""

    def train_loss(self, net: Net, batch: Any, seed: tf.Tensor, weights: Weights) -> tf.Tensor:
        """Return the mean loss of a batch in training mode, and after it the terms of `loss_terms`: [1 + K] float32.

        `seed` is an int32 [2] for dropout.
        """

    def train_names(self, epoch: int, first: int, count: int) -> list[str]:
        """Return the names of the images at positions [first, first + count) of an epoch's order."""

    def open_records(self) -> str:
        """Find the training records, and return why reading them takes longer than it could, or "".

        The first time, records of other programs take seconds. Raises DataError if they are damaged.
        """

    def verify_records(self, *, images: bool = False) -> None:
        """Raise DataError if a shard is damaged; `images`: also decode all images."""

    def sample_images(self, count: int) -> np.ndarray:
        """Return the first augmented training images, uint8 [count, S, S, 3], for TensorBoard."""

    def eval_batches(self, share: Share) -> tf.data.Dataset: ...

    def eval_outputs(self, model: SlimModule, batch: Any, weights: Weights) -> dict[str, tf.Tensor]:
        """Return the results of each example of a batch, first axis N. `summarize` drops the padding."""

    def summarize(self, outputs: dict[str, np.ndarray]) -> Evaluation:
        """Compute the metrics from the results of a whole split."""


class RecordTask:
    """The parts of `Task` that are the same for both tasks."""

    records: RecordFolder
    """A folder of the task's kind of records."""

    def __init__(self, config: Config, records: RecordFolder, preprocessing: Preprocessing | None = None):
        self.config, self.records = config, records
        self.preprocessing = preprocessing or config.preprocessing

    @property
    def loss_terms(self) -> tuple[str, ...]:
        return ()

    @property
    def data_fingerprint(self) -> str:
        return self.records.fingerprint

    @property
    def train_examples(self) -> int:
        return self.records.train_examples

    @property
    def steps_per_epoch(self) -> int:
        return self.records.steps_per_epoch

    @property
    def eval_examples(self) -> int:
        return self.records.eval_examples

    @property
    def has_eval_examples(self) -> bool:
        return self.records.has_eval_examples

    def train_batches(self, epoch: int, image_size: int, skip_examples: int, share: Share) -> tf.data.Dataset:
        return self.records.train_batches(epoch, image_size, skip_examples, share)

    def eval_batches(self, share: Share) -> tf.data.Dataset:
        return self.records.eval_batches(self.preprocessing, share)

    def train_names(self, epoch: int, first: int, count: int) -> list[str]:
        return self.records.train_filenames(epoch, range(first, first + count))

    def open_records(self) -> str:
        if self.records.index("train") is not None:
            return ""
        return (
            f"the training records in {self.records.directory} are compressed with gzip: each process reads all of "
            "them, and an epoch begins by filling a buffer; unpack each shard with `gunzip < SHARD > NEW/SHARD`"
        )

    def verify_records(self, *, images: bool = False) -> None:
        self.records.verify(images=images)

    def forward(self, net: Net, batch: Any, weights: Weights, **arguments: Any) -> Any:
        """Run the net on a batch's images [N, S, S, 3] float32 in [0, 255]; in bfloat16 if the weights are."""
        images = normalize(batch.images, self.preprocessing)
        if weights is not None and any(weight.dtype == tf.bfloat16 for weight in weights.values()):
            images = tf.cast(images, tf.bfloat16)
        return net(images, variables=weights, **arguments)

    def _first_batch(self, count: int) -> Any:
        """Return the first `count` training images as a batch, at most as many as the batch size."""
        count = min(count, self.config.training.batch_size)
        return next(iter(self.train_batches(0, self.config.data.image_size, 0, Share(batch_size=count))))

    def _only(self, real: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs without padding (`real` [N] bool); DataError if their number is wrong."""
        if real.sum() != self.eval_examples:
            self.verify_records()
            expected = f"{self.eval_examples} {self.records.eval_split} images"
            raise DataError(
                f"{self.records.directory} gave {real.sum()} of its {expected}; the records changed during reading"
            )
        return {name: values[real] for name, values in outputs.items()}
