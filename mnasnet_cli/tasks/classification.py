"""Classification: a MnasNet on ImageNet-style records, scored by top-1 and top-5."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.config.schema import Config
from mnasnet_cli.data.imagenet import ClassificationBatch, ImagenetRecords
from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.metrics.accuracy import summarize_accuracy
from mnasnet_cli.modules.classifier import is_classifier, make_classifier
from mnasnet_cli.modules.info import model_info
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.records.dataset_info import DatasetInfo
from mnasnet_cli.tasks.base import Evaluation, Net, RecordTask, Teacher, Weights
from mnasnet_cli.tasks.losses import balanced_weights, distillation_loss, smoothed_cross_entropy

MANY_IMAGES = 50_000  # enough for the recipe of the paper


class ClassificationTask(RecordTask):
    """See `tasks.base.Task`."""

    metric = "top1"

    records: ImagenetRecords
    teacher: Teacher | None = None
    """The model that a training learns from besides the labels."""

    def __init__(
        self,
        config: Config,
        data_dir: Path,
        preprocessing: Preprocessing | None = None,
        *,
        eval_split: str = "validation",
    ):
        super().__init__(config, ImagenetRecords(data_dir, config, eval_split), preprocessing)

    @cached_property
    def labels(self) -> list[str]:
        return class_names(self.records.info)

    @cached_property
    def names(self) -> list[str]:
        """The classes in words; the labels if the data set has no words."""
        return list(self.records.info.texts) or self.labels

    @property
    def scratch_note(self) -> str:
        """Say so if the recipe needs more images than there are."""
        images = self.records.info.splits["train"].examples
        if self.config.optimizer.name != "rmsprop" or images >= MANY_IMAGES:
            return ""
        return (
            f"{images:,} training images are few for this recipe, which is for ImageNet; --config quick learns faster "
            "from small sets, and --config finetune --init MODEL starts from trained weights"
        )

    @cached_property
    def class_weights(self) -> np.ndarray | None:
        """The weight of each class in the loss, [C] float32; None if all weigh the same.

        Raises:
          DataError: the records do not say how many images each class has.
        """
        if self.config.data.class_weights == "none":
            return None
        counts = self.records.info.splits["train"].per_class
        if not counts:
            raise DataError(
                f"data.class_weights=balanced needs the number of images of each class, but {self.records.directory} "
                "has no dataset.json; write the records with `mnasnet prepare-imagenet`"
            )
        return balanced_weights([counts.get(label, 0) for label in self.labels])

    def make_model(self) -> SlimModule:
        return make_classifier(self.config, len(self.labels))

    def model_info(self) -> dict[str, Any]:
        taught = {"teacher": self.teacher.record} if self.teacher else {}
        return {**model_info(self.config, self.labels, self.names), **taught}

    def initial_weights(
        self, source: str, info: Mapping[str, Any], weights: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """All weights; the last layer starts at zero if the classes differ.

        A random last layer would begin with confident wrong answers, which training would have to undo first.
        """
        if info["task"] != "classification":
            raise CheckpointError(
                f"{source} holds a detector, but this run trains a classifier; name a classifier with --init"
            )
        if info["labels"] == self.labels:
            return dict(weights)
        classes = len(self.labels)
        return {
            name: np.zeros([*value.shape[:-1], classes], np.float32) if is_classifier(name) else value
            for name, value in weights.items()
        }

    @property
    def loss_terms(self) -> tuple[str, ...]:
        return ("teacher_loss",) if self.teacher else ()

    def train_loss(self, net: Net, batch: ClassificationBatch, seed: tf.Tensor, weights: Weights) -> tf.Tensor:
        """With a teacher, (1 - w) · the labels' loss + w · the teacher's, whose images are the student's."""
        logits = self.forward(net, batch, weights, is_training=True, seed=seed)
        if self.teacher is None:
            return tf.reshape(self._label_loss(logits, batch), [1])
        share, temperature = self.config.training.teacher_weight, self.config.training.teacher_temperature
        taught = tf.reduce_mean(distillation_loss(logits, self.teacher(batch.images), temperature))
        labels = (1.0 - share) * self._label_loss(logits, batch) if share < 1.0 else 0.0
        return tf.stack([labels + share * taught, taught])

    def _label_loss(self, logits: tf.Tensor, batch: ClassificationBatch) -> tf.Tensor:
        """The mean cross entropy [] with the labels."""
        smoothing = self.config.training.label_smoothing

        def loss_for(labels: tf.Tensor) -> tf.Tensor:
            loss = smoothed_cross_entropy(logits, labels, smoothing)
            return loss if self.class_weights is None else loss * tf.gather(self.class_weights, labels)

        loss = loss_for(batch.labels)
        if self.config.data.augment.mixup or self.config.data.augment.cutmix:
            loss += batch.mixed_weights * (loss_for(batch.mixed_labels) - loss)
        return tf.reduce_mean(loss)

    def sample_images(self, count: int) -> np.ndarray:
        return np.clip(self._first_batch(count).images.numpy(), 0, 255).astype(np.uint8)

    def eval_outputs(self, model: SlimModule, batch: ClassificationBatch, weights: Weights) -> dict[str, tf.Tensor]:
        logits = tf.cast(self.forward(model, batch, weights, is_training=False), tf.float32)
        return {
            "positions": batch.positions,
            "labels": batch.labels,
            "predictions": tf.argmax(logits, axis=-1, output_type=tf.int32),
            "in_top5": tf.math.in_top_k(tf.maximum(batch.labels, 0), logits, k=min(5, len(self.labels))),
            "losses": smoothed_cross_entropy(logits, tf.maximum(batch.labels, 0), 0.0),
            "confidences": tf.reduce_max(tf.nn.softmax(logits), axis=-1),
        }

    def summarize(self, outputs: dict[str, np.ndarray]) -> Evaluation:
        outputs = self._only(outputs["labels"] >= 0, outputs)
        return Evaluation(summarize_accuracy(outputs, self.labels, self.names), outputs)


def class_names(info: DatasetInfo) -> list[str]:
    """Return the synset of each class 0..C-1, or its number in the records if the data set has no names.

    Raises:
      DataError: labels.txt and dataset.json have different numbers of classes.
    """
    if info.synsets and len(info.synsets) != info.classes:
        raise DataError(
            f"{info.directory} has {info.classes} classes in dataset.json, but {len(info.synsets)} in labels.txt; "
            "restore the labels.txt that was written together with the records"
        )
    return list(info.synsets) or [str(number + 1) for number in range(info.classes)]
