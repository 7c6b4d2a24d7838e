"""Detectors in training: initial values, statistics, weight decay and gradients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from graph_contents import built
from mini_detectors import MINI, MINI_SEPARABLE, MINIS
from tiny_net import TINY

from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.detector_spec import LITE, RETINANET
from mnasnet_cli.nets.detector_table import detector_variable_shapes
from mnasnet_cli.nets.retinanet import retinanet
from mnasnet_cli.nets.slim_compat import slim, tf1


def test_prior(graph, images):
    predictions, _ = retinanet(images, TINY, MINI, 3)
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        probabilities = session.run(tf.sigmoid(predictions.class_logits))
        deltas = session.run(predictions.box_deltas)
    np.testing.assert_allclose(probabilities, 0.01, rtol=0.05)
    assert np.abs(deltas).max() < 0.05
    assert dataclasses.replace(MINI, prior=0.5).class_bias == 0
    assert RETINANET.class_bias == pytest.approx(-4.6, abs=0.01)  # class_prediction_bias_init of the port's config


@pytest.mark.parametrize("detector", [RETINANET, LITE], ids=lambda spec: spec.name)
def test_the_signal_survives_the_heads(graph, detector):
    # Untrained, in training mode: the last layers see inputs that differ from position to position. With normal(0.01)
    # kernels, separable layers would shrink below batch norm's epsilon.
    detector = dataclasses.replace(detector, min_level=2, max_level=4)
    pictures = tf.constant(np.random.RandomState(0).uniform(-1, 1, [2, 64, 64, 3]), tf.float32)
    with slim.arg_scope(mnasnet.training_scope(updates_collections=None)):
        predictions, _ = retinanet(pictures, TINY, detector, 2, is_training=True)
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        logits, deltas = session.run(list(predictions))
    assert 1e-3 < deltas.std() < 1
    assert 1e-3 < logits.std() < 1


@MINIS
def test_training_and_inference(run, images, detector):
    with slim.arg_scope(mnasnet.training_scope(is_training=None)):
        training, _ = retinanet(images, TINY, detector, 3, is_training=True)
    updates = len(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
    # Every batch norm has two: the pyramid's 2, the towers' 2·3, and the backbone's.
    moving = [name for name in built() if name.endswith("moving_mean")]
    assert updates == 2 * len(moving)
    assert len([name for name in moving if "fpn" in name or "WeightShared" in name]) == 2 + 6
    inference, _ = retinanet(images, TINY, detector, 3, reuse=True)
    assert len(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)) == updates
    one, two, three = run([training.class_logits, inference.class_logits, inference.class_logits])
    np.testing.assert_array_equal(two, three)
    assert np.abs(one - two).max() > 1e-4


def test_frozen_backbone_norm(graph, images):
    retinanet(images, TINY, MINI, 3, is_training=True, frozen_until="layer_4")
    updated = {op.name for op in tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)}
    assert len(updated) == 2 * (2 + 6)
    assert not [name for name in updated if "/mb_conv" in name or "/Conv/" in name]


def test_weight_decay(graph, images):
    with slim.arg_scope(mnasnet.training_scope(weight_decay=1.0, regularize_depthwise=False)):
        retinanet(images, TINY, MINI_SEPARABLE, 3, is_training=True)
    heads = [
        loss.op.name
        for loss in tf1.losses.get_regularization_losses()
        if "fpn" in loss.op.name or "Weight" in loss.op.name
    ]
    # One projection; 1x1 kernels of 2 pyramid layers, 2 of the towers, 2 predictors; no bias, no depthwise kernel.
    assert len(heads) == 1 + 2 + 2 + 2


@MINIS
def test_as_a_module_of_tensorflow_2(detector):
    def net(images, is_training):
        with slim.arg_scope(mnasnet.training_scope(is_training=is_training, updates_collections=None)):
            return retinanet(images, TINY, detector, 3, is_training=is_training)[0]

    model = SlimModule(net)
    model.build(tf.TensorSpec([2, 32, 32, 3]), is_training=False)
    assert {name: tuple(v.shape) for name, v in model.weights.items()} == detector_variable_shapes(TINY, detector, 3)
    pictures = tf.constant(np.random.RandomState(0).uniform(-1, 1, [2, 32, 32, 3]), tf.float32)

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            predictions = model(pictures, is_training=True)
            loss = sum(tf.reduce_mean(part**2) for part in predictions)
        return tape.gradient(loss, list(model.trainable.values()))

    found = dict(zip(model.trainable, gradients(), strict=True))
    assert [name for name, gradient in found.items() if gradient is None] == []
    moved = model.weights[
        "WeightSharedConvolutionalBoxPredictor/BoxPredictionTower/conv2d_0/BatchNorm/feature_2/moving_mean"
    ]
    assert np.abs(moved.numpy()).max() > 0
    decayed = [name for name in model.regularized if "fpn" in name or name.startswith("Weight")]
    assert decayed
    assert not [name for name in decayed if name.endswith("biases")]
