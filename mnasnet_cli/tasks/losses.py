"""Losses, each with its formula."""

from __future__ import annotations

import tensorflow as tf


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
