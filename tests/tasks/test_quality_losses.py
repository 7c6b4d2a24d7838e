"""The losses whose target is a box's quality, against the papers' formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.tasks.quality_losses import distribution_focal_loss, quality_focal_loss, varifocal_loss

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(-1.0, 2.0, [2, 5, 3]).astype(np.float32)
PLACES = np.array([[0, 1, 2], [0, 4, 0], [1, 0, 1]], np.int32)
QUALITY = np.array([0.7, 0.0, 1.0], np.float32)
COUNTED = np.array([[True] * 5, [True, True, False, True, False]])


def dense() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, targets and a mask of what counts, float64 [2, 5, 3]."""
    targets = np.zeros(LOGITS.shape)
    targets[tuple(PLACES.T)] = QUALITY
    return 1 / (1 + np.exp(-LOGITS.astype(np.float64))), targets, np.repeat(COUNTED[..., None], 3, axis=-1)


@pytest.mark.parametrize("gamma", [2.0, 1.5])
def test_quality_focal_loss_is_that_of_the_formula(gamma: float) -> None:
    p, y, counted = dense()
    expected = -(np.abs(y - p) ** gamma) * ((1 - y) * np.log(1 - p) + y * np.log(p))
    found = quality_focal_loss(tf.constant(LOGITS), PLACES, QUALITY, COUNTED, gamma)
    np.testing.assert_allclose(found, (expected * counted).sum(axis=(1, 2)), rtol=1e-5)


def test_varifocal_loss_is_that_of_the_formula() -> None:
    p, y, counted = dense()
    places = tuple(PLACES.T)
    expected = -0.75 * p**2 * np.log(1 - p)
    expected[places] = (-y * (y * np.log(p) + (1 - y) * np.log(1 - p)))[places]
    found = varifocal_loss(tf.constant(LOGITS), PLACES, QUALITY, COUNTED)
    np.testing.assert_allclose(found, (expected * counted).sum(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("loss", [quality_focal_loss, varifocal_loss])
def test_gradients_are_those_of_differences(loss) -> None:
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(loss(logits, PLACES, QUALITY, COUNTED))
    gradient = tape.gradient(total, logits).numpy()
    assert not gradient[~COUNTED].any()
    for place in ((0, 1, 2), (0, 4, 0), (1, 0, 1), (0, 2, 2)):
        step = np.zeros_like(LOGITS)
        step[place] = 0.01
        above, below = (tf.reduce_sum(loss(logits + sign * step, PLACES, QUALITY, COUNTED)) for sign in (1, -1))
        assert gradient[place] == pytest.approx(float(above - below) / 0.02, abs=2e-3)


def test_nothing_matched_is_background_alone() -> None:
    none = (np.zeros([0, 3], np.int32), np.zeros(0, np.float32), np.ones_like(COUNTED))
    p, _, _ = dense()
    found = quality_focal_loss(tf.constant(LOGITS), *none)
    np.testing.assert_allclose(found, (-(p**2) * np.log(1 - p)).sum(axis=(1, 2)), rtol=1e-5)


def test_distribution_focal_loss_by_hand() -> None:
    bins = np.zeros([1, 4, 3], np.float32)
    bins[0, 0] = np.log([0.5, 0.3, 0.2])
    bins[0, 1:] = [[0, 0, 50], [0, 50, 0], [50, 0, 0]]  # certain of 2, 1 and 0
    # 0.25: -(0.75 ln 0.5 + 0.25 ln 0.3); the others are right, also beyond the last and the first bin.
    expected = -(0.75 * np.log(0.5) + 0.25 * np.log(0.3)) / 4
    found = distribution_focal_loss(tf.constant(bins), tf.constant([[0.25, 7.0, 1.0, -1.0]]))
    np.testing.assert_allclose(found, [expected], rtol=1e-5)
