"""The classification job: MnasNet on ImageNet-style records, scored by top-1 and top-5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.config import Config
from mnasnet_cli.data.imagenet import ClassificationBatch, ImagenetRecords
from mnasnet_cli.data.schema import DatasetInfo
from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.metrics.accuracy import summarize_accuracy
from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.slim_compat import slim
from mnasnet_cli.nets.spec import layer_names
from mnasnet_cli.tasks.losses import smoothed_cross_entropy
from mnasnet_cli.tasks.record_task import RecordTask, model_info
from mnasnet_cli.tasks.task import Evaluation, Weights
from mnasnet_cli.variables import SlimModule

CLASSIFIER_SCOPE = "Conv2d_1c_1x1"


class ClassificationTask(RecordTask):
    """See `tasks.task.Task`."""

    metric = "top1"
    scratch_note = ""

    records: ImagenetRecords

    def __init__(self, config: Config, data_dir: Path):
        super().__init__(config, ImagenetRecords(data_dir, config))

    @cached_property
    def labels(self) -> list[str]:
        return class_names(self.records.info)

    @cached_property
    def names(self) -> list[str]:
        """The classes in words, where the data set has words for them."""
        return list(self.records.info.texts) or self.labels

    def make_model(self) -> SlimModule:
        return make_classifier(self.config, len(self.labels))

    def model_info(self) -> dict[str, Any]:
        return classifier_info(self.config, self.labels, self.names)

    def initial_weights(
        self, source: str, info: Mapping[str, Any], weights: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """All of them; where the classes are others, with a classifier that begins at zero.

        A random one of the usual size would be sure of wrong classes, and would have to unlearn that first.
        """
        if info["task"] != "imagenet":
            raise CheckpointError(f"{source} holds a detector, but the run is for a classifier")
        if info["labels"] == self.labels:
            return dict(weights)
        classes = len(self.labels)
        return {
            name: np.zeros([*value.shape[:-1], classes], np.float32) if is_classifier(name) else value
            for name, value in weights.items()
        }

    def train_loss(
        self, model: SlimModule, batch: ClassificationBatch, seed: tf.Tensor, weights: Weights, **mode: Any
    ) -> tf.Tensor:
        smoothing = self.config.training.label_smoothing
        logits = self.forward(model, batch, weights, is_training=True, seed=seed, **mode)
        loss = smoothed_cross_entropy(logits, batch.labels, smoothing)
        if self.config.data.augment.mixup or self.config.data.augment.cutmix:
            mixed = smoothed_cross_entropy(logits, batch.mixed_labels, smoothing)
            loss += batch.mixed_weights * (mixed - loss)
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


def classifier_info(config: Config, labels: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """What the checkpoints of a classifier say of it; see `Task.model_info`."""
    data = config.data
    return model_info(config, labels, names, {"crop_fraction": data.crop_fraction, "stretch": data.stretch})


def make_classifier(config: Config, num_classes: int) -> SlimModule:
    """The net of a configuration, called as `model(images, is_training=…, seed=…)`, giving logits [N, C] float32.

    `batch_norm_decay` goes before the configuration's; `frozen_until` is that of `mnasnet_base`.
    """
    options, spec = config.model, config.model.spec

    def net(
        images: tf.Tensor,
        is_training: bool,
        seed: tf.Tensor | None = None,
        frozen_until: str | None = None,
        batch_norm_decay: Any = None,
    ) -> tf.Tensor:
        scope = mnasnet.training_scope(
            is_training=is_training,
            batch_norm_decay=options.batch_norm_decay if batch_norm_decay is None else batch_norm_decay,
            updates_collections=None,
        )
        with slim.arg_scope(scope):
            logits, _ = mnasnet.mnasnet_base(
                images,
                spec,
                num_classes=num_classes,
                is_training=is_training,
                dropout_keep_prob=None if options.dropout is None else 1.0 - options.dropout,
                dropout_fn=None if seed is None else _seeded_dropout(seed),
                zero_init_residual=options.zero_init_residual,
                frozen_until=config.finetune.norm_frozen_until(frozen_until, layer_names(spec)),
            )
        return tf.cast(logits, tf.float32)

    model = SlimModule(net)
    size = config.data.image_size
    model.build(tf.TensorSpec([1, size, size, 3], tf.float32), is_training=False)
    return model


def is_classifier(name: str) -> bool:
    """Whether a variable belongs to the last layer, whose outputs are the classes."""
    return f"/{CLASSIFIER_SCOPE}/" in name


def class_names(info: DatasetInfo) -> list[str]:
    """The synset of each class 0..C-1, or its number in the records where the data set doesn't name it.

    Raises:
      DataError: the data set names another number of classes than it has.
    """
    if info.synsets and len(info.synsets) != info.classes:
        raise DataError(
            f"{info.directory} has {info.classes} classes by its dataset.json, but its labels.txt names "
            f"{len(info.synsets)}; bring the labels.txt back that the records were written with"
        )
    return list(info.synsets) or [str(number + 1) for number in range(info.classes)]


def _seeded_dropout(seed: tf.Tensor) -> Any:
    """Dropout from stateless random numbers: the same step drops the same features, also after a resume."""

    def dropout(net: tf.Tensor, keep_prob: float, is_training: bool) -> tf.Tensor:
        if not is_training or keep_prob >= 1.0:
            return net
        return tf.nn.experimental.stateless_dropout(net, rate=1.0 - keep_prob, seed=seed, rng_alg="philox")

    return dropout
