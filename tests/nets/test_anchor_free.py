"""Detectors without anchors against their tables, and their pyramid and heads against sums by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from graph_contents import built
from mini_detectors import MINI
from tiny_net import TINY, TINY_BACKBONE

from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.anchor_free import anchor_free, mean_distance
from mnasnet_cli.nets.detector_spec import ANCHOR_FREE, DetectorSpec
from mnasnet_cli.nets.detector_table import detector_parameters, detector_variable_shapes
from mnasnet_cli.nets.retinanet import retinanet
from mnasnet_cli.nets.slim_compat import slim, tf1
from mnasnet_cli.nets.spec import NETS, StageSpec, get_spec

# Three levels on the one of TINY, or two where the backbone has them.
MINI_FREE = dataclasses.replace(ANCHOR_FREE, name="mini-free", channels=8, depth=1, min_level=2, max_level=4)
# One block at each of the strides 4 to 32: the pyramid takes three levels from it, as from the nets of the table.
DEEP = dataclasses.replace(
    TINY_BACKBONE,
    name="deep",
    stages=(*TINY_BACKBONE.stages, *(StageSpec(1, kernel=3, stride=2, expand=2, channels=n) for n in (24, 32))),
)
OPTIONS = {
    "as it is": {"depth": 2},
    "one way": {"bottom_up": False},
    "side by side": {"fusion": "concat"},
    "one way, side by side": {"fusion": "concat", "bottom_up": False},  # a variation of the two before
    "own kernels": {"shared_levels": False, "depth": 2},
    "own kernels, wide predictors": {"shared_levels": False, "predictor_kernel": 5, "shared_tower": False},
    "two towers": {"shared_tower": False, "activation": "hswish", "fpn_activation": "hswish"},
    "no bins": {"bins": 0},
    "full convolutions": {"separable": False, "kernel": 3, "fpn_kernel": 3, "shared_levels": False},
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, id=name, marks=pytest.mark.variation if name == "one way, side by side" else ())
        for name, change in OPTIONS.items()
    ],
)
def test_variables_and_shapes(graph, change):
    detector = dataclasses.replace(ANCHOR_FREE, **{"channels": 16, "depth": 1, "max_level": 6, **change})
    predictions, end_points = anchor_free(tf1.placeholder(tf.float32, [2, 128, 96, 3]), DEEP, detector, 3)
    assert built() == detector_variable_shapes(DEEP, detector, 3)
    trained = built(tf1.GraphKeys.TRAINABLE_VARIABLES)
    assert sum(int(np.prod(shape)) for shape in trained.values()) == detector_parameters(DEEP, detector, 3)
    sizes = [end_points[f"P{level}"].shape.as_list() for level in range(3, 7)]
    assert sizes == [[2, height, width, 16] for height, width in [(16, 12), (8, 6), (4, 3), (2, 2)]]
    positions = 16 * 12 + 8 * 6 + 4 * 3 + 2 * 2
    assert predictions.class_logits.shape.as_list() == [2, positions, 3]
    assert predictions.box_deltas.shape.as_list() == [2, positions, 4]
    assert hasattr(predictions, "box_bins") == bool(detector.bins)
    if detector.bins:
        assert predictions.box_bins.shape.as_list() == [2, positions, 4, detector.bins]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "small" else pytest.mark.variation) for name in NETS]
)
def test_every_net_takes_it(graph, name):
    anchor_free(tf1.placeholder(tf.float32, [1, 64, 64, 3]), get_spec(name, 0.35), ANCHOR_FREE, 1)
    assert built() == detector_variable_shapes(get_spec(name, 0.35), ANCHOR_FREE, 1)


@pytest.mark.parametrize("size", [33, 40])
def test_sizes_unknown_at_graph_construction(run, size):
    feed = tf1.placeholder(tf.float32, [None, None, None, 3])
    late, _ = anchor_free(feed, TINY, MINI_FREE, 3)
    picture = np.random.RandomState(0).uniform(-1, 1, [2, size, size, 3])
    early, _ = anchor_free(tf.constant(picture, tf.float32), TINY, MINI_FREE, 3, reuse=True)
    found, known = run([late, early], {feed: picture})
    for one, two, tensor in zip(found, known, early, strict=True):
        assert tensor.shape.as_list() == list(two.shape)
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_an_untrained_net_says_little_and_starts_with_medium_boxes(run, images):
    for number, bins in enumerate((8, 0)):
        detector = dataclasses.replace(MINI_FREE, depth=2, bins=bins)
        with tf1.variable_scope(f"net{number}"):
            predictions, _ = anchor_free(images, TINY, detector, 3)
        logits, distances = run([predictions.class_logits, predictions.box_deltas])
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), 0.01, rtol=0.1)
        np.testing.assert_allclose(distances if bins else np.exp(distances), 3.5, rtol=0.1)


def test_mean_distance_by_hand(run):
    logits = np.log([[[0.1, 0.2, 0.3, 0.4], [0.25] * 4]]).astype(np.float32) + 3.0
    np.testing.assert_allclose(run(mean_distance(tf.constant(logits))), [0.2 + 0.6 + 1.2, 1.5], rtol=1e-6)


def test_bins_are_those_of_the_four_sides(run, images):
    predictions, _ = anchor_free(images, TINY, MINI_FREE, 3)
    (biases,) = [v for v in tf1.global_variables() if v.op.name.endswith("/BoxPredictor/biases")]
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        certain = np.zeros([4, 8], np.float32)
        for side, distance in enumerate((1, 3, 5, 7)):
            certain[side, distance] = 30.0
        session.run(tf1.assign(biases, certain.reshape(-1)))
        distances = session.run(predictions.box_deltas)
    np.testing.assert_allclose(distances, np.broadcast_to([1.0, 3.0, 5.0, 7.0], distances.shape), atol=1e-3)


def test_the_path_back_up_brings_fine_features_to_coarse_levels(run):
    # An image with a mark: does level 3 of a one-way pyramid see the finest features? Only with the path back up do
    # its gradients reach the projection of level 2.
    for number, (bottom_up, reached) in enumerate(((True, True), (False, False))):
        with tf1.variable_scope(f"net{number}"):
            detector = dataclasses.replace(ANCHOR_FREE, channels=8, bottom_up=bottom_up)
            _, end_points = anchor_free(tf.zeros([1, 64, 64, 3]), DEEP, detector, 1)
        kernel = [v for v in tf1.trainable_variables(f"net{number}") if v.op.name.endswith("projection_1/weights")]
        assert (tf1.gradients(end_points["P5"], kernel)[0] is not None) == reached


def test_kernels_decay_and_biases_do_not(graph, images):
    with slim.arg_scope(mnasnet.training_scope()):
        anchor_free(images, TINY, MINI_FREE, 3, is_training=True)
    losses = {loss.op.name for loss in tf1.losses.get_regularization_losses()}
    heads = [name for name in built() if "/fpn/" in name or name.startswith("WeightShared")]
    kernels = {name for name in heads if name.endswith("weights")}
    decayed = {name for name in heads if any(name in loss for loss in losses)}
    assert decayed == kernels


def test_the_two_builders_do_not_take_each_others_tables(images):
    with pytest.raises(ValueError, match=r"mini has anchors; retinanet\.retinanet builds it"):
        anchor_free(images, TINY, MINI, 3)
    with pytest.raises(ValueError, match=r"mini-free has no anchors; anchor_free\.anchor_free builds it"):
        retinanet(images, TINY, MINI_FREE, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"anchor_free": True},  # with six anchors
        {"anchor_free": True, "anchors": 1, "bins": 1},
        {"anchor_free": True, "anchors": 1, "bins": -8},
        {"anchor_free": True, "anchors": 1, "background_slot": True},
        {"anchor_free": True, "anchors": 1, "fusion": "mean"},
        {"bins": 8},
        {"bottom_up": True},
        {"shared_levels": False},
        {"predictor_kernel": 2},
    ],
    ids=str,
)
def test_bad_tables(change):
    with pytest.raises(ValueError, match=r"anchor|bins|fusion|predictor_kernel"):
        DetectorSpec(**{"name": "x", **change})
