"""Detectors against their tables, for every net and both families: shapes, order, and shared kernels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from graph_contents import built
from mini_detectors import MINI, MINI_SEPARABLE, MINIS
from tiny_net import TINY

from mnasnet_cli.nets.architecture import Dialect
from mnasnet_cli.nets.detector_spec import API_RETINANET, LITE, RETINANET
from mnasnet_cli.nets.detector_table import detector_parameters, detector_variable_shapes
from mnasnet_cli.nets.retinanet import retinanet
from mnasnet_cli.nets.slim_compat import tf1
from mnasnet_cli.nets.spec import NETS, get_spec

BACKBONES = [*((name, 1.0) for name in NETS), ("a1", 0.35), ("b1-2019", 1.4)]
FAST = {("small", 1.0): "lite", ("a1", 0.35): "retinanet"}


@pytest.mark.parametrize(
    ("name", "width", "detector"),
    [
        pytest.param(
            *net,
            spec,
            id=f"{net[0]}-{net[1]}-{spec.name}",
            marks=() if FAST.get(net) == spec.name else pytest.mark.variation,
        )
        for net in BACKBONES
        for spec in (RETINANET, LITE)
    ],
)
def test_variables_and_shapes(graph, name, width, detector):
    backbone = get_spec(name, width)
    detector = dataclasses.replace(detector, channels=16, depth=1)
    predictions, end_points = retinanet(tf1.placeholder(tf.float32, [2, 128, 96, 3]), backbone, detector, 3)
    assert built() == detector_variable_shapes(backbone, detector, 3)
    trained = built(tf1.GraphKeys.TRAINABLE_VARIABLES)
    assert sum(int(np.prod(shape)) for shape in trained.values()) == detector_parameters(backbone, detector, 3)
    sizes = [end_points[f"P{level}"].shape.as_list() for level in range(3, 8)]
    assert sizes == [[2, height, width, 16] for height, width in [(16, 12), (8, 6), (4, 3), (2, 2), (1, 1)]]
    anchors = 6 * (16 * 12 + 8 * 6 + 4 * 3 + 2 * 2 + 1)
    assert predictions.class_logits.shape.as_list() == [2, anchors, 3]
    assert predictions.box_deltas.shape.as_list() == [2, anchors, 4]


def test_shapes_of_the_default_config(graph):
    detector = dataclasses.replace(RETINANET, depth=1)  # the number of layers in a subnet changes no shape
    predictions, end_points = retinanet(tf1.placeholder(tf.float32, [1, 640, 640, 3]), NETS["b1-2019"], detector, 90)
    sizes = [end_points[f"P{level}"].shape.as_list() for level in range(3, 8)]
    assert sizes == [[1, size, size, 256] for size in (80, 40, 20, 10, 5)]
    assert predictions.class_logits.shape.as_list() == [1, 51_150, 90]
    assert predictions.box_deltas.shape.as_list() == [1, 51_150, 4]


@pytest.mark.parametrize(
    ("detector", "size"),
    [
        (MINI, 33),
        (MINI_SEPARABLE, 40),
        *(pytest.param(*case, marks=pytest.mark.variation) for case in [(MINI, 40), (MINI_SEPARABLE, 33)]),
        *(pytest.param(detector, 47, marks=pytest.mark.variation) for detector in (MINI, MINI_SEPARABLE)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_sizes_unknown_at_graph_construction(run, detector, size):
    feed = tf1.placeholder(tf.float32, [None, None, None, 3])
    late, _ = retinanet(feed, TINY, detector, 3)
    picture = np.random.RandomState(0).uniform(-1, 1, [2, size, size, 3])
    early, _ = retinanet(tf.constant(picture, tf.float32), TINY, detector, 3, reuse=True)
    (logits, deltas), known = run([late, early], {feed: picture})
    assert early.class_logits.shape.as_list() == list(logits.shape)
    np.testing.assert_allclose(logits, known[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deltas, known[1], rtol=1e-4, atol=1e-5)


@MINIS
def test_order_of_anchors(run, images, detector):
    # First a predictor with zero weights, so that only its biases count; then the maps of one level.
    predictions, _ = retinanet(images, TINY, detector, 3)
    assert [name for name in built() if name.endswith("BoxPredictor/biases")]
    (biases,) = [v for v in tf1.global_variables() if v.op.name.endswith("/BoxPredictor/biases")]
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        session.run(tf1.assign(biases, np.arange(24, dtype="float32")))
        before = session.run(predictions.box_deltas)
        session.run(
            [
                tf1.assign(v, tf.zeros_like(v))
                for v in tf1.global_variables()
                if "/BoxPredictor/" in v.op.name and "biases" not in v.op.name
            ]
        )
        rows = session.run(predictions.box_deltas)
    anchors = 6 * (17 * 17 + 9 * 9 + 5 * 5)
    assert before.shape == (2, anchors, 4)
    # Output 4·a + i is number i of anchor a: the six anchors of a position are neighbours.
    np.testing.assert_array_equal(rows, np.tile(np.arange(24).reshape(1, 6, 4), (2, anchors // 6, 1)))


@MINIS
def test_rows_and_columns(run, detector):
    # An image with a mark: the logits change most at the row and column of the mark.
    blank = np.zeros([1, 64, 64, 3], "float32")
    marked = blank.copy()
    marked[0, 40:44, 12:16] = 1  # row 10, column 3 of 16 at level 2
    predictions, end_points = retinanet(tf.constant(np.concatenate([blank, marked])), TINY, detector, 3)
    values, level = run([predictions.class_logits, end_points["P2"]])
    assert level.shape[1:3] == (16, 16)
    change = np.abs(values[1] - values[0]).sum(-1)[: 6 * 16 * 16].reshape(16, 16, 6).sum(-1)
    # Squeeze-excite changes all positions a little.
    weight = (change - np.median(change)).clip(0)
    row, column = (np.average(np.arange(16), weights=weight.sum(axis)) for axis in (1, 0))
    assert (row, column) == (pytest.approx(10, abs=1.5), pytest.approx(3, abs=1.5))


def test_kernels_are_shared_and_statistics_are_not(graph, images):
    retinanet(images, TINY, dataclasses.replace(MINI, depth=2), 3)
    heads = [name for name in built() if name.startswith("WeightShared")]
    assert len([name for name in heads if name.endswith("/weights")]) == 2 * 2 + 2  # towers of two, and predictors
    for tower in ("BoxPredictionTower", "ClassPredictionTower"):
        norms = {name.split("/")[4] for name in heads if f"{tower}/conv2d_1/BatchNorm/" in name}
        assert norms == {"feature_0", "feature_1", "feature_2"}


@MINIS
def test_levels_are_computed_by_the_same_kernels(run, images, detector):
    # The predictor on P3, with the kernels that were made on P2.
    detector = dataclasses.replace(detector, depth=0)
    predictions, end_points = retinanet(images, TINY, detector, 3)
    kernels = {v.op.name: v for v in tf1.global_variables() if "/ClassPredictor/" in v.op.name}
    logits, p3, weights = run([predictions.class_logits, end_points["P3"], kernels])
    first = 6 * 17 * 17
    ours = logits[:, first : first + 6 * 81].reshape(2, 9, 9, 18)
    scope = "WeightSharedConvolutionalBoxPredictor/ClassPredictor"
    net = tf.constant(p3)
    if detector.separable:
        net = tf.nn.depthwise_conv2d(net, weights[f"{scope}/depthwise_weights"], [1, 1, 1, 1], "SAME")
        net = tf.nn.conv2d(net, weights[f"{scope}/pointwise_weights"], 1, "SAME")
    else:
        net = tf.nn.conv2d(net, weights[f"{scope}/weights"], 1, "SAME")
    with tf1.Session() as session:
        expected = session.run(net + weights[f"{scope}/biases"])
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_reuse(graph, images):
    first, _ = retinanet(images, TINY, MINI, 3)
    before = built()
    with pytest.raises(ValueError, match="already exists"):
        retinanet(images, TINY, MINI, 3)
    second, _ = retinanet(images, TINY, MINI, 3, reuse=True)
    assert built() == before
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        one, two = session.run([first, second])
    np.testing.assert_array_equal(one.class_logits, two.class_logits)


def test_background_slot(run, images):
    detector = dataclasses.replace(MINI, background_slot=True)
    predictions, _ = retinanet(images, TINY, detector, 3)
    (biases,) = [v for v in tf1.global_variables() if v.op.name.endswith("ClassPredictor/biases")]
    assert biases.shape.as_list() == [6 * 4]
    assert predictions.class_logits.shape.as_list()[-1] == 3
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        session.run(
            [
                tf1.assign(v, tf.zeros_like(v))
                for v in tf1.global_variables()
                if v.op.name.endswith("ClassPredictor/weights")
            ]
        )
        session.run(tf1.assign(biases, np.arange(24, dtype="float32")))
        rows = session.run(predictions.class_logits)[0, :6]
    np.testing.assert_array_equal(rows, np.arange(24).reshape(6, 4)[:, 1:])
    assert API_RETINANET.background_slot


def test_symmetric_padding_reaches_the_pyramid(run, images):
    even = images[:, :32, :32]
    symmetric = dataclasses.replace(TINY, dialect=Dialect(padding="symmetric"))
    asked, _ = retinanet(even, TINY, MINI, 3, use_explicit_padding=True)
    given, points = retinanet(even, symmetric, MINI, 3, reuse=True)
    assert [points[f"P{level}"].shape[1] for level in (2, 3, 4)] == [8, 4, 2]
    a, b = run([asked.class_logits, given.class_logits])
    np.testing.assert_array_equal(a, b)


def test_bad_arguments(graph, images):
    with pytest.raises(ValueError, match="num_classes"):
        retinanet(images, TINY, MINI, 0)
    with pytest.raises(ValueError, match="stride 8"):
        retinanet(images, TINY, RETINANET, 3)
    with pytest.raises(ValueError, match="rank 4"):
        retinanet(images[0], TINY, MINI, 3)
