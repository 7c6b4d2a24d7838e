"""Muon's update direction: the momentum of a matrix, orthogonalized (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

# Newton-Schulz coefficients and steps of Muon. Singular values end in about [0.7, 1.2].
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
# Gives Muon's update the usual root mean square of AdamW's, so that one learning rate fits both (Liu et al., arXiv
# 2502.16982).
MUON_SCALE = 0.2


def muon_scale(shape: Sequence[int]) -> float:
    """Return the factor of a direction of this shape, next to the learning rate."""
    return MUON_SCALE * float(max(shape)) ** 0.5


def orthogonalize(matrices: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return approximately the nearest (semi-)orthogonal matrix to each of `matrices`. Their shapes may differ.

    A step of Newton-Schulz maps X [m, n], m ≤ n, to Q·X with Q = a + b·A + c·A² and A = X·Xᵀ. So the result is P·X with
    P the product of all Q, and a step maps A to Q·A·Q: the steps need only m×m matrices. For n = 6·m, as in the net's
    blocks, this takes less than half of the arithmetic. Matrices of the same m are computed together.
    """
    directions: list[tf.Tensor] = [None] * len(matrices)
    for side in sorted({min(matrix.shape) for matrix in matrices}):
        indices = [index for index, matrix in enumerate(matrices) if min(matrix.shape) == side]
        grams = tf.stack([_gram(matrices[index]) for index in indices])
        for index, factor in zip(indices, tf.unstack(_factors(grams)), strict=True):
            matrix = matrices[index]
            directions[index] = tf.matmul(factor, matrix) if _is_wide(matrix) else tf.matmul(matrix, factor)
    return directions


def _is_wide(matrix: tf.Tensor) -> bool:
    return bool(matrix.shape[0] <= matrix.shape[1])


def _gram(matrix: tf.Tensor) -> tf.Tensor:
    """Return X·Xᵀ [m, m] of a wide matrix [m, n], Xᵀ·X of a tall one."""
    wide = _is_wide(matrix)
    return tf.matmul(matrix, matrix, transpose_a=not wide, transpose_b=wide)


def _factors(grams: tf.Tensor) -> tf.Tensor:
    """Return the products P [k, m, m] for the Gram matrices [k, m, m] of matrices of any norm."""
    norms = tf.sqrt(tf.linalg.trace(grams))[:, tf.newaxis, tf.newaxis] + 1e-7
    grams = grams / norms**2
    a, b, c = NEWTON_SCHULZ
    identity = a * tf.eye(grams.shape[-1])
    product = None
    for step in range(NEWTON_SCHULZ_STEPS):
        factor = identity + b * grams + c * tf.matmul(grams, grams)
        product = factor / norms if product is None else tf.matmul(factor, product)
        if step + 1 < NEWTON_SCHULZ_STEPS:
            grams = tf.matmul(tf.matmul(factor, grams), factor)
    return product
