"""Projections as matrix products: the outputs stay the same, and biases move only if other layers take them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from graph_cases import assert_same_outputs, untrained_detector, untrained_graph

from mnasnet_cli.export.tflite.conv_to_matmul import convolutions_to_matmuls
from mnasnet_cli.export.tflite.split_layers import split_bottlenecks
from mnasnet_cli.inference.outputs import HEAD_OUTPUTS


@pytest.mark.parametrize(
    ("variant", "size"),  # 28: by rows of 7 pixels; 32: all pixels as one matrix
    [
        ("b1", 28),
        ("a1", 32),
        *(
            pytest.param(*case, marks=pytest.mark.variation)
            for case in [("b1", 32), ("a1", 28), ("b1-2019", 28), ("b1-2019", 32)]
        ),
    ],
)
def test_a_net_with_matrix_products_has_the_same_outputs(variant, size):
    definition = untrained_graph(variant, 1.0, size)
    _assert_changed_and_same(definition, (2, size, size, 3), ["logits"])


def test_a_split_net_has_the_same_outputs_too():
    definition = untrained_graph("b1", 0.5, 32)
    split = split_bottlenecks(definition, 1024)  # so small that the projections of 24 outputs are in parts
    changed = _assert_changed_and_same(split, (2, 32, 32, 3), ["logits"])
    assert any(node.op == "BatchMatMulV2" and "/part_1" in node.name for node in changed.node)


def test_a_detector_has_the_same_outputs(tmp_path):
    definition = untrained_detector("b1", tmp_path)
    _assert_changed_and_same(definition, (1, 64, 64, 3), HEAD_OUTPUTS)


def test_a_bias_before_another_layer_stays():
    definition = _two_convolutions(lambda projection: tf.nn.relu(projection))
    assert convolutions_to_matmuls(definition) == definition


def test_a_bias_that_arrives_twice_is_added_twice():
    _assert_changed_and_same(_two_convolutions(lambda projection: projection + projection), (1, 8, 8, 3), ["logits"])


@pytest.mark.parametrize(("width", "reshaped"), [(7, False), (8, True), (20, False), (24, True), (40, False)])
def test_rows_that_fill_tiles_badly_are_joined(width, reshaped):
    changed = _assert_changed_and_same(
        _two_convolutions(lambda projection: projection, width=width), (2, 8, width, 3), ["logits"]
    )
    assert any(node.op == "Reshape" for node in changed.node) == reshaped


@pytest.mark.parametrize("outputs", [16, 32])
def test_widths_that_fill_a_kernel_are_not_changed(outputs):
    definition = _two_convolutions(lambda projection: projection, outputs)
    assert convolutions_to_matmuls(definition) == definition


def _two_convolutions(between, outputs=24, width=8):
    """A graph of a 1×1 convolution to `outputs` channels and one to 72, each with a bias; `between` joins them."""

    rng = np.random.default_rng(0)

    def convolution(tensor, channels):
        kernel = rng.normal(size=(1, 1, tensor.shape[-1], channels)).astype(np.float32)
        return tf.nn.bias_add(tf.nn.conv2d(tensor, kernel, 1, "VALID"), rng.normal(size=channels).astype(np.float32))

    with tf.Graph().as_default() as graph:
        tensors = tf.compat.v1.placeholder(tf.float32, [None, 8, width, 3], name="tensors")
        tf.identity(convolution(between(convolution(tensors, outputs)), 72), name="logits")
    return graph.as_graph_def()


def _assert_changed_and_same(definition, shape, names):
    changed = convolutions_to_matmuls(definition)
    assert any(node.op == "BatchMatMulV2" for node in changed.node)
    assert_same_outputs(changed, definition, shape, names)
    return changed
