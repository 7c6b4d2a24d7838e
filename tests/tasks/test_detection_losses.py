"""The detector's losses against numbers worked out by hand, and their gradients against TensorFlow's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.tasks.losses import anchor_focal_loss, ciou_loss, giou_loss, huber_loss, sigmoid_focal_loss

# Probabilities 1/2, 3/4, 1/4.
LOGITS = tf.constant([0.0, math.log(3.0), -math.log(3.0)])


def test_focal_loss_of_positives() -> None:
    # -α (1 - p)² ln p
    expected = [0.25 * 0.25 * math.log(2), 0.25 * 0.0625 * math.log(4 / 3), 0.25 * 0.5625 * math.log(4)]
    assert sigmoid_focal_loss(LOGITS, tf.ones(3)).numpy() == pytest.approx(expected)


def test_focal_loss_of_negatives() -> None:
    # -(1 - α) p² ln(1 - p)
    expected = [0.75 * 0.25 * math.log(2), 0.75 * 0.5625 * math.log(4), 0.75 * 0.0625 * math.log(4 / 3)]
    assert sigmoid_focal_loss(LOGITS, tf.zeros(3)).numpy() == pytest.approx(expected)


def test_without_gamma_it_is_half_the_cross_entropy() -> None:
    targets = tf.constant([1.0, 0.0, 0.3])
    expected = 0.5 * tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=LOGITS)
    loss = sigmoid_focal_loss(LOGITS, targets, alpha=0.5, gamma=0.0)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_focal_loss_of_far_logits_is_finite(target: float) -> None:
    loss = sigmoid_focal_loss(tf.constant([-1e4, -90.0, 90.0, 1e4]), target)
    weight = 0.25 if target else 0.75
    wrong = [1e4 * weight, 90 * weight, 0, 0]
    assert loss.numpy() == pytest.approx(wrong if target else wrong[::-1])


@pytest.mark.parametrize("gamma", [2.0, 1.5])
def test_class_numbers_give_the_sums_and_gradients_of_targets(gamma: float) -> None:
    random = np.random.RandomState(0)
    logits = tf.constant(random.normal(0, 3, [2, 5, 4]), tf.float32)
    classes = tf.constant([[0, 4, -1, 0, 1], [2, 2, 0, -1, 0]], tf.int32)
    weights = tf.constant(random.uniform(0, 1, [2, 5]), tf.float32)

    def reference(logits: tf.Tensor) -> tf.Tensor:
        losses = sigmoid_focal_loss(logits, tf.one_hot(classes - 1, 4), gamma=gamma)
        return tf.reduce_sum(losses, axis=-1) * tf.cast(classes >= 0, tf.float32)

    values, gradients = [], []
    for function in (reference, lambda logits: anchor_focal_loss(logits, classes, gamma=gamma)):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            values.append(function(logits))
            total = tf.reduce_sum(values[-1] * weights)
        gradients.append(tape.gradient(total, logits).numpy())
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)
    assert not gradients[1][0, 2].any()  # ignored


def test_class_numbers_without_a_match() -> None:
    logits = tf.constant(np.full([1, 3, 2], math.log(3.0)), tf.float32)
    loss = tf.function(anchor_focal_loss, autograph=False)(logits, tf.constant([[0, -1, 0]]))
    negative = 2 * 0.75 * 0.5625 * math.log(4)
    np.testing.assert_allclose(loss, [[negative, 0, negative]], rtol=1e-6)


def test_an_untrained_net_has_the_loss_of_its_prior() -> None:
    # K·A anchors at 0.01: 0.75 · 0.0001 · 0.01005 each; whatever the number of anchors, little beside one match.
    logits = tf.fill([1, 1000, 80], -math.log(99.0))
    loss = tf.reduce_sum(anchor_focal_loss(logits, tf.zeros([1, 1000], tf.int32)))
    assert float(loss) == pytest.approx(80_000 * 0.75 * 1e-4 * -math.log(0.99), rel=1e-4)


def test_huber_loss() -> None:
    # 0.5² / 2 + 1 (2 - 1/2) + 1² / 2 + 0
    deltas = tf.constant([[0.5, -2.0, 1.0, 3.0]])
    targets = tf.constant([[0.0, 0.0, 0.0, 3.0]])
    assert huber_loss(deltas, targets).numpy() == pytest.approx([0.125 + 1.5 + 0.5])
    # δ = 0.1: 0.1 (0.5 - 0.05) + 0.1 (2 - 0.05) + 0.1 (1 - 0.05)
    assert huber_loss(deltas, targets, 0.1).numpy() == pytest.approx([0.045 + 0.195 + 0.095])


def test_huber_gradient_is_cut_at_the_threshold() -> None:
    deltas = tf.constant([[-0.05, 0.3, 0.0, -7.0]])
    with tf.GradientTape() as tape:
        tape.watch(deltas)
        loss = huber_loss(deltas, tf.zeros([1, 4]), 0.1)
    assert tape.gradient(loss, deltas).numpy() == pytest.approx(np.array([[-0.05, 0.1, 0.0, -0.1]]))


def test_box_losses() -> None:
    boxes = tf.constant([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    targets = tf.constant([[0.0, 0, 10, 10], [0, 20, 10, 30]])
    # No overlap, and 100 of the 300 px² around both lie in neither: GIoU = 0 - 1/3.
    assert giou_loss(boxes, targets).numpy() == pytest.approx([0, 4 / 3], abs=1e-6)
    # Centers 20 px apart, diagonal² 10² + 30²; the same shape.
    assert ciou_loss(boxes, targets).numpy() == pytest.approx([0, 1 + 400 / 1000], abs=1e-6)
