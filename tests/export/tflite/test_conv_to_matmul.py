"""Narrow projections as products of matrices: the same net, and only where someone takes the biases."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from graph_cases import assert_same_outputs, with_random_biases
from made_models import detector_config, make_checkpoint

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.graph import build_graph
from mnasnet_cli.export.tflite.conv_to_matmul import multiply_narrow_projections
from mnasnet_cli.export.tflite.split_layers import narrow_bottlenecks
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.inference.outputs import HEAD_OUTPUTS
from mnasnet_cli.latency.variants import untrained_model


@pytest.mark.parametrize("size", [28, 32])  # by rows of 7 pixels, and all pixels as one matrix
@pytest.mark.parametrize("variant", ["b1", "a1", "b1-2019"])
def test_a_net_with_products_says_the_same(variant, size):
    definition = with_random_biases(build_graph(untrained_model(variant, 1.0, size), None).definition)
    _assert_changed_and_same(definition, (2, size, size, 3), ["logits"])


def test_so_it_does_after_it_was_cut():
    definition = with_random_biases(build_graph(untrained_model("b1", 1.0, 32), None).definition)
    narrowed = narrow_bottlenecks(definition, 1024)  # so small that the narrow projections are in parts
    changed = _assert_changed_and_same(narrowed, (2, 32, 32, 3), ["logits"])
    assert any(node.op == "BatchMatMulV2" and "/part_1" in node.name for node in changed.node)


def test_a_detector_says_the_same(tmp_path):
    make_checkpoint(tmp_path, detector_config("b1"), ["1", "2"], ["ant", "bee"])
    model = load_model(find_checkpoint(str(tmp_path)))
    definition = with_random_biases(build_graph(model, None, heads=True).definition)
    _assert_changed_and_same(definition, (1, 64, 64, 3), HEAD_OUTPUTS)


def test_a_bias_that_others_would_miss_stays():
    definition = _two_convolutions(lambda narrow: tf.nn.relu(narrow))
    assert multiply_narrow_projections(definition) == definition


def test_a_bias_that_arrives_twice_is_taken_twice():
    _assert_changed_and_same(_two_convolutions(lambda narrow: narrow + narrow), (1, 8, 8, 3), ["logits"])


@pytest.mark.parametrize(("width", "reshaped"), [(7, False), (8, True), (20, False), (24, True), (40, False)])
def test_only_rows_that_would_fill_tiles_badly_become_one_matrix(width, reshaped):
    changed = _assert_changed_and_same(
        _two_convolutions(lambda narrow: narrow, width=width), (2, 8, width, 3), ["logits"]
    )
    assert any(node.op == "Reshape" for node in changed.node) == reshaped


@pytest.mark.parametrize("outputs", [16, 32])
def test_widths_that_fill_a_kernel_are_left_alone(outputs):
    definition = _two_convolutions(lambda narrow: narrow, outputs)
    assert multiply_narrow_projections(definition) == definition


def _two_convolutions(between, outputs=24, width=8):
    """A graph of a narrow 1×1 convolution and a wide one, each with a bias."""

    rng = np.random.default_rng(0)

    def convolution(tensor, channels):
        kernel = rng.normal(size=(1, 1, tensor.shape[-1], channels)).astype(np.float32)
        return tf.nn.bias_add(tf.nn.conv2d(tensor, kernel, 1, "VALID"), rng.normal(size=channels).astype(np.float32))

    with tf.Graph().as_default() as graph:
        tensors = tf.compat.v1.placeholder(tf.float32, [None, 8, width, 3], name="tensors")
        tf.identity(convolution(between(convolution(tensors, outputs)), 72), name="logits")
    return graph.as_graph_def()


def _assert_changed_and_same(definition, shape, names):
    changed = multiply_narrow_projections(definition)
    assert any(node.op == "BatchMatMulV2" for node in changed.node)
    assert_same_outputs(changed, definition, shape, names)
    return changed
