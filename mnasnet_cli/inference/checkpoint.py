"""Runs the net of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.inference.base import limit_threads
from mnasnet_cli.inference.model import LoadedModel, load_model
from mnasnet_cli.inference.outputs import classify
from mnasnet_cli.inference.tensorflow_graph import FunctionRunner
from mnasnet_cli.modules.classifier import is_classifier
from mnasnet_cli.modules.postprocessing import select_boxes


class CheckpointRunner(FunctionRunner):
    """A checkpoint's net in inference mode."""

    def __init__(
        self,
        path: str,
        *,
        ema: bool = True,
        best: bool = False,
        image_size: int | None = None,
        threads: int | None = None,
    ) -> None:
        limit_threads(threads)
        self.loaded = load_model(find_checkpoint(path, best=best), image_size=image_size, ema=ema)
        super().__init__(self.loaded.manifest(), sum(value.nbytes for value in self.loaded.contents.weights.values()))
        self.detection = self.loaded.config.detection
        self._function = tf.function(_inference_function(self.loaded), autograph=False, reduce_retracing=True)

    @cached_property
    def _with_features(self) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        net = self.loaded.model
        return tf.function(
            lambda images: net(images, is_training=False, with_features=True), autograph=False, reduce_retracing=True
        )

    def predict_with_features(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if self.task == "detection":
            return super().predict_with_features(images)
        logits, features = self._with_features(tf.constant(images))
        return {"logits": logits.numpy(), "feature_map": features.numpy()}

    def last_layer(self) -> tuple[np.ndarray, np.ndarray]:
        if self.task == "detection":
            return super().last_layer()
        weights = {name: value.numpy() for name, value in self.loaded.model.weights.items() if is_classifier(name)}
        kernel, biases = (next(value for name, value in weights.items() if name.endswith(kind)) for kind in
                          ("/weights", "/biases"))  # fmt: skip
        return kernel[0, 0], biases


def _inference_function(loaded: LoadedModel) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    def classifier(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": classify(loaded.model, images)["logits"]}

    def detector(images: tf.Tensor) -> dict[str, tf.Tensor]:
        assert loaded.postprocessing is not None
        heads = loaded.model(images, is_training=False)
        boxes = select_boxes(heads.class_logits, heads.box_deltas, loaded.image_size, loaded.postprocessing)
        return {**heads._asdict(), **boxes}

    return classifier if loaded.task == "classification" else detector
