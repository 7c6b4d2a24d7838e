"""The losses of a detector whose class scores say how well its boxes fit.

Shapes: N images, A cells, K classes, P matched cells, B bins of a distance. The target of a matched cell is the quality
of its box, in [0, 1], instead of 1. Nearly all targets are 0. So each loss treats all of them as 0 and then corrects
the few others, which needs a fraction of the memory and time.
"""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.tasks.losses import background_focal_loss


def quality_focal_loss(
    logits: tf.Tensor, places: tf.Tensor, quality: tf.Tensor, counted: tf.Tensor, gamma: float = 2.0
) -> tf.Tensor:
    """Quality focal loss (GFL, arXiv 2006.04388, equation 2), summed over cells and classes:

        QFL = -|y - p|^γ ((1 - y) ln(1 - p) + y ln p)    p = sigmoid(logit)

    Args:
      logits: [N, A, K] float32.
      places: [P, 3] int32: image, cell and class 0..K-1 of the targets y above 0.
      quality: [P] float32, y.
      counted: [N, A] bool, False for cells to ignore; matched cells are True.
      gamma: γ.

    Returns:
      [N] float32.
    """
    own = tf.gather_nd(logits, places)
    apart = tf.abs(quality - tf.sigmoid(own))
    weight = tf.square(apart) if gamma == 2.0 else tf.pow(tf.maximum(apart, 1e-6), gamma)
    found = weight * _entropy(own, quality)
    return _with_background(logits, places, found, counted, gamma, 1.0)


def varifocal_loss(
    logits: tf.Tensor,
    places: tf.Tensor,
    quality: tf.Tensor,
    counted: tf.Tensor,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> tf.Tensor:
    """Varifocal loss (arXiv 2008.13367, equation 2), summed over cells and classes:

        VFL = -y (y ln p + (1 - y) ln(1 - p)) where y > 0, else -(1 - α) p^γ ln(1 - p)

    The arguments are those of `quality_focal_loss`. The paper's weight of the background, 0.75, is 1 - α here, as in
    `sigmoid_focal_loss`.
    """
    found = quality * _entropy(tf.gather_nd(logits, places), quality)
    return _with_background(logits, places, found, counted, gamma, 1.0 - alpha)


def distribution_focal_loss(bins: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Distribution focal loss (GFL, arXiv 2006.04388, equation 6), averaged over the four sides:

        DFL = -((i + 1 - y) ln S_i + (y - i) ln S_(i + 1))    i = floor(y), S = softmax(logits)

    Args:
      bins: [P, 4, B] float32, logits of the distances 0 … B - 1.
      targets: [P, 4] float32, y; values beyond the bins count as the last or first one.

    Returns:
      [P] float32.
    """
    last = bins.shape[-1] - 1
    targets = tf.clip_by_value(targets, 0.0, float(last))
    lower = tf.minimum(tf.floor(targets), last - 1.0)
    share = targets - lower
    logarithms = tf.nn.log_softmax(bins)
    low, high = (tf.gather(logarithms, tf.cast(lower, tf.int32) + step, batch_dims=2) for step in (0, 1))
    return -tf.reduce_mean((1.0 - share) * low + share * high, axis=-1)


def _entropy(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """-(y ln p + (1 - y) ln(1 - p)), without 1 - p."""
    return tf.nn.softplus(logits) - targets * logits


def _with_background(
    logits: tf.Tensor, places: tf.Tensor, found: tf.Tensor, counted: tf.Tensor, gamma: float, weight: float
) -> tf.Tensor:
    """Return `weight` times the background's loss of all targets but those at `places`, plus `found` [P]: [N]."""
    background = tf.reduce_sum(background_focal_loss(logits, gamma) * tf.cast(counted, logits.dtype), axis=1)
    own = tf.gather_nd(logits, places)[:, tf.newaxis]
    correction = found - weight * background_focal_loss(own, gamma)
    return weight * background + tf.math.unsorted_segment_sum(correction, places[:, 0], tf.shape(logits)[0])
