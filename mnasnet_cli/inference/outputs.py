"""The names of a model's outputs, and the functions that compute them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mnasnet_cli.config.pre_postprocessing import Postprocessing
from mnasnet_cli.modules.postprocessing import select_boxes
from mnasnet_cli.modules.slim_module import SlimModule

CLASSIFIER_OUTPUTS = ("logits", "probabilities")
DETECTOR_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
HEAD_OUTPUTS = ("class_logits", "box_deltas")


def classify(model: SlimModule, tensors: tf.Tensor, variables: Mapping[str, Any] | None = None) -> dict[str, tf.Tensor]:
    """Compute logits and probabilities, float32 [N, C], from the net's input [N, S, S, 3].

    variables: used in place of the module's own, by name.
    """
    logits = model(tensors, is_training=False, variables=variables)
    return {"logits": logits, "probabilities": tf.nn.softmax(logits)}


def predict_heads(
    model: SlimModule, tensors: tf.Tensor, variables: Mapping[str, Any] | None = None
) -> dict[str, tf.Tensor]:
    """Compute class_logits [N, A, K] and box_deltas [N, A, 4], float32, from the net's input [N, S, S, 3]."""
    predictions = model(tensors, is_training=False, variables=variables)
    return {"class_logits": predictions.class_logits, "box_deltas": predictions.box_deltas}


def detect_boxes(
    model: SlimModule,
    tensors: tf.Tensor,
    options: Postprocessing,
    variables: Mapping[str, Any] | None = None,
) -> dict[str, tf.Tensor]:
    """Compute boxes from the net's input [N, S, S, 3]; see `select_boxes`."""
    heads = predict_heads(model, tensors, variables)
    return select_boxes(heads["class_logits"], heads["box_deltas"], int(tensors.shape[1]), options)
