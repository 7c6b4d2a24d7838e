"""What artifacts compute, as pure TensorFlow functions: the one definition of it, and the same as evaluation's.

Symbols: N images, S the side of the net's input in px, C classes of a classifier, K of a detector, A anchors, M boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.artifacts.manifest import Postprocessing, Preprocessing
from mnasnet_cli.data import augment, box_augment
from mnasnet_cli.data.imagenet import eval_image
from mnasnet_cli.geometry.anchors import level_anchors
from mnasnet_cli.geometry.nms import detect
from mnasnet_cli.variables import SlimModule

CLASSIFIER_OUTPUTS = ("logits", "probabilities")
DETECTOR_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
HEAD_OUTPUTS = ("class_logits", "box_deltas")


def preprocess_bytes(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """One encoded JPEG or PNG, string [], as the net's input: float32 [S, S, 3]."""
    size = options.image_size
    if options.crop_fraction is None:
        window = box_augment.whole_window(augment.image_shape(image_bytes))
        image = box_augment.decode_window(image_bytes, window, size, options.antialias, options.interpolation)
    else:
        image = eval_image(
            image_bytes, size, options.crop_fraction, options.antialias, options.interpolation, options.stretch
        )
    return augment.normalize(image, options.mean, options.deviation)


def compiled_preprocess(options: Preprocessing) -> tf.types.experimental.PolymorphicFunction:
    """`preprocess_bytes` as a compiled function of the encoded image, string []."""
    return tf.function(
        lambda image: preprocess_bytes(image, options),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )


def preprocess_encoded(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Encoded images, string [N], as the net's input: float32 [N, S, S, 3]."""
    size = options.image_size
    return tf.map_fn(
        lambda image: preprocess_bytes(image, options),
        image_bytes,
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
    )


def preprocess_uint8(images: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Decoded images of one size, uint8 [N, H, W, 3], as the net's input: float32 [N, S, S, 3].

    The same as for a PNG of these pixels; a large JPEG is decoded at half its scale, which no one can do to pixels.
    """
    size = options.image_size
    if options.crop_fraction is not None:
        window = augment.central_crop_window(tf.shape(images)[1:], options.crop_fraction, options.stretch)
        images = tf.slice(images, [0, window[0], window[1], 0], [-1, window[2], window[3], 3])
    images = augment.resize(images, size, options.antialias, options.interpolation)
    return augment.normalize(tf.ensure_shape(images, [None, size, size, 3]), options.mean, options.deviation)


def classify(model: SlimModule, tensors: tf.Tensor, variables: Mapping[str, Any] | None = None) -> dict[str, tf.Tensor]:
    """The net's input [N, S, S, 3] to logits and probabilities, float32 [N, C].

    `variables`: stand in for the module's own, by name.
    """
    logits = model(tensors, is_training=False, variables=variables)
    return {"logits": logits, "probabilities": tf.nn.softmax(logits)}


def predict_heads(
    model: SlimModule, tensors: tf.Tensor, variables: Mapping[str, Any] | None = None
) -> dict[str, tf.Tensor]:
    """The net's input [N, S, S, 3] to the raw heads: class_logits [N, A, K] and box_deltas [N, A, 4], float32."""
    predictions = model(tensors, is_training=False, variables=variables)
    return {"class_logits": predictions.class_logits, "box_deltas": predictions.box_deltas}


def select_boxes(
    class_logits: tf.Tensor, box_deltas: tf.Tensor, image_size: int, options: Postprocessing
) -> dict[str, tf.Tensor]:
    """Raw heads to boxes by falling score, places that are not used being 0.

    Returns:
      detection_boxes float32 [N, M, 4], ymin, xmin, ymax, xmax in [0, 1] of the image;
      detection_scores float32 [N, M] in [0, 1];
      detection_classes int32 [N, M], category ids of the data set;
      num_detections int32 [N].
    """
    levels = level_anchors(image_size, image_size, **options.anchors)
    found = detect(
        class_logits,
        box_deltas,
        np.concatenate(levels),
        level_counts=[len(level) for level in levels],
        image_size=(image_size, image_size),
        candidates=options.candidates,
        iou_threshold=options.nms_iou,
        score_threshold=options.score_threshold,
        max_detections=options.max_detections,
    )
    categories = tf.constant([0, *options.category_ids], tf.int32)
    return {
        "detection_boxes": found.boxes / float(image_size),
        "detection_scores": found.scores,
        "detection_classes": tf.gather(categories, found.classes),
        "num_detections": found.counts,
    }


def detect_boxes(
    model: SlimModule,
    tensors: tf.Tensor,
    options: Postprocessing,
    variables: Mapping[str, Any] | None = None,
) -> dict[str, tf.Tensor]:
    """The net's input [N, S, S, 3] to boxes; see `select_boxes`."""
    heads = predict_heads(model, tensors, variables)
    return select_boxes(heads["class_logits"], heads["box_deltas"], int(tensors.shape[1]), options)
