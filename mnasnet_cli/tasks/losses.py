"""The losses of classifiers and detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry


def smoothed_cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Cross entropy against (1 - s)·onehot(label) + s/C (Szegedy et al., arXiv 1512.00567).

    Args:
      logits: [N, C] float32.
      labels: [N] int32 in 0..C-1.
      smoothing: s in [0, 1].

    Returns:
      [N] float32.
    """
    log_probabilities = tf.nn.log_softmax(logits)
    picked = tf.gather(log_probabilities, labels, batch_dims=1)
    return -(1.0 - smoothing) * picked - smoothing * tf.reduce_mean(log_probabilities, axis=-1)


def distillation_loss(logits: tf.Tensor, teacher_logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """How far a student's answer is from its teacher's (Hinton et al., arXiv 1503.02531, section 2):

        T² KL(p ‖ q)    p = softmax(teacher / T), q = softmax(student / T)

    T² keeps the size of the gradient when T changes. The divergence differs from the cross entropy of that paper by
    the teacher's own entropy, a constant, so that a student that answers as its teacher has the loss 0 (Beyer et al.,
    arXiv 2106.05237, section 3).

    Args:
      logits, teacher_logits: [N, C] float32; no gradient reaches the teacher.
      temperature: T > 0.

    Returns:
      [N] float32.
    """
    teacher = tf.nn.log_softmax(tf.stop_gradient(teacher_logits) / temperature)
    student = tf.nn.log_softmax(logits / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)


def balanced_weights(counts: Sequence[int]) -> np.ndarray:
    """Return the weight of each class: [C] float32, n / (k · count) for n images in the k classes that have any.

    The mean over all images is 1. A class without images has weight 0.
    """
    images = np.asarray(counts, np.float64)
    present = images > 0
    return np.where(present, images.sum() / (present.sum() * np.maximum(images, 1)), 0.0).astype(np.float32)


def sigmoid_focal_loss(logits: tf.Tensor, targets: tf.Tensor, alpha: float = 0.25, gamma: float = 2.0) -> tf.Tensor:
    """Focal loss: cross entropy of independent classes, down-weighted for easy examples (arXiv 1708.02002, equation 5):

        FL = -y α (1 - p)^γ ln p - (1 - y) (1 - α) p^γ ln(1 - p)    p = sigmoid(logit)

    Args:
      logits: […] float32.
      targets: […], y in [0, 1].
      alpha: weight of positives, in [0, 1]; negatives have 1 - α.
      gamma: at least 0; 0 is weighted cross entropy.

    Returns:
      […] float32.
    """
    positive, _ = _focal_terms(-logits, gamma)
    negative, _ = _focal_terms(logits, gamma)
    return targets * alpha * positive + (1.0 - targets) * (1.0 - alpha) * negative


def anchor_focal_loss(logits: tf.Tensor, classes: tf.Tensor, alpha: float = 0.25, gamma: float = 2.0) -> tf.Tensor:
    """`sigmoid_focal_loss` summed over the classes, from class numbers instead of [N, A, K] targets.

    Nearly all targets are negative. So the loss treats all of them as negative and then corrects the few positive ones,
    which needs a fraction of the memory and time. The task divides by the number of matched anchors.

    Args:
      logits: [N, A, K] float32.
      classes: [N, A] int32: 1..K, 0 for background, -1 for anchors to ignore.
      alpha, gamma: as above.

    Returns:
      [N, A] float32.
    """

    @tf.custom_gradient
    def loss(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        counted = tf.cast(classes >= 0, logits.dtype)
        matched = tf.cast(tf.where(classes > 0), tf.int32)  # [P, 2]
        places = tf.concat([matched, tf.gather_nd(classes, matched)[:, tf.newaxis] - 1], axis=1)
        own_logits = tf.gather_nd(logits, places)
        negatives, slopes = _focal_terms(logits, gamma)
        as_positive, positive_slope = _focal_terms(-own_logits, gamma)
        as_negative, negative_slope = _focal_terms(own_logits, gamma)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            result = slopes * ((1.0 - alpha) * counted * upstream)[..., tf.newaxis]
            correction = -alpha * positive_slope - (1.0 - alpha) * negative_slope
            return tf.tensor_scatter_nd_add(result, places, correction * tf.gather_nd(upstream, matched))

        total = (1.0 - alpha) * counted * tf.reduce_sum(negatives, axis=-1)
        total = tf.tensor_scatter_nd_add(total, matched, alpha * as_positive - (1.0 - alpha) * as_negative)
        return total, gradient

    return loss(logits)


def background_focal_loss(logits: tf.Tensor, gamma: float = 2.0) -> tf.Tensor:
    """-p^γ ln(1 - p) of logits […, K] whose targets are 0, summed over the classes: […]."""

    @tf.custom_gradient
    def loss(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        negatives, slopes = _focal_terms(logits, gamma)
        return tf.reduce_sum(negatives, axis=-1), lambda upstream: slopes * upstream[..., tf.newaxis]

    return loss(logits)


def _focal_terms(logits: tf.Tensor, gamma: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Return -p^γ ln(1 - p) and its derivative with respect to the logit, p^γ (γ (p - 1) ln(1 - p) + p)."""
    probability = tf.sigmoid(logits)
    entropy = tf.nn.softplus(logits)  # -ln(1 - p), without 1 - p
    # tf.pow takes as long as all the rest.
    power = tf.square(probability) if gamma == 2.0 else tf.pow(probability, gamma)
    return power * entropy, power * (gamma * (1.0 - probability) * entropy + probability)


def huber_loss(deltas: tf.Tensor, targets: tf.Tensor, threshold: float = 1.0) -> tf.Tensor:
    """Huber loss, summed over the last axis: x² / 2 where |x| ≤ δ, otherwise δ (|x| - δ / 2), for the differences x.

    With δ = 1 it is smooth L1 (Girshick, arXiv 1504.08083, equation 3), and the Object Detection API's
    `weighted_smooth_l1` before the division by the number of deltas.

    Args:
      deltas, targets: […, 4] float32, in the box coder's units.
      threshold: δ > 0.

    Returns:
      […] float32.
    """
    distance = tf.abs(deltas - targets)
    near = tf.minimum(distance, threshold)
    return tf.reduce_sum(near * (distance - 0.5 * near), axis=-1)


def giou_loss(boxes: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """1 - GIoU in [0, 2] (Rezatofighi et al., arXiv 1902.09630) of decoded boxes […, 4] and their targets: […]."""
    return 1.0 - geometry.giou(boxes, targets)


def ciou_loss(boxes: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """1 - CIoU, from 0 (Zheng et al., arXiv 1911.08287), of decoded boxes […, 4] and their targets: […]."""
    return 1.0 - geometry.ciou(boxes, targets)
