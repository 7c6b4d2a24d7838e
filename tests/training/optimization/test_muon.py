"""Muon's orthogonalized directions."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mnasnet_cli.training.optimization.muon import NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS, orthogonalize

SHAPES = [(8, 8), (4, 12), (12, 4), (4, 16)]


def matrices(scale: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [scale * rng.normal(size=shape).astype(np.float32) for shape in SHAPES]


def newton_schulz(matrix: np.ndarray) -> np.ndarray:
    """Newton-Schulz on the matrix itself, in float64."""
    if matrix.shape[0] > matrix.shape[1]:
        return newton_schulz(matrix.T).T
    a, b, c = NEWTON_SCHULZ
    x = matrix.astype(np.float64) / np.linalg.norm(matrix)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


def test_all_singular_values_become_about_one() -> None:
    for direction in orthogonalize([tf.constant(matrix) for matrix in matrices()]):
        values = np.linalg.svd(direction.numpy(), compute_uv=False)
        assert values.min() > 0.3
        assert values.max() < 1.3


def test_is_newton_schulz_on_each_matrix_by_itself() -> None:
    for scale in (1e-2, 1.0):
        given = matrices(scale)
        for matrix, direction in zip(given, orthogonalize([tf.constant(m) for m in given]), strict=True):
            np.testing.assert_allclose(direction.numpy(), newton_schulz(matrix), atol=1e-4)


def test_small_singular_values_are_kept() -> None:
    # Singular values from 1 to 1e-6: the smallest are lost in float32's rounding of the Gram matrix, 1e-12.
    rng = np.random.default_rng(1)
    u, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    v, _ = np.linalg.qr(rng.normal(size=(48, 16)))
    matrix = ((u * np.logspace(0, -6, 16)) @ v.T).astype(np.float32)
    found, expected = orthogonalize([tf.constant(matrix)])[0].numpy(), newton_schulz(matrix)
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)


def test_zeros_stay() -> None:
    for direction in orthogonalize([tf.zeros(shape) for shape in SHAPES]):
        assert not direction.numpy().any()
