"""Bottlenecks in parts and padded widths: the outputs stay the same."""

from __future__ import annotations

import pytest
from graph_cases import assert_same_outputs, untrained_detector, untrained_graph

from mnasnet_cli.export.graph import constant_value
from mnasnet_cli.export.tflite.split_layers import pad_classes, split_bottlenecks, split_channels, split_outputs
from mnasnet_cli.inference.outputs import HEAD_OUTPUTS


def test_parts_are_multiples_of_the_lanes_and_cover_all_channels():
    assert split_channels((5, 5, 480, 1), 20 * 1024) == [0, 160, 320, 480]
    assert split_channels((5, 5, 1152, 1), 24 * 1024) == [0, 224, 448, 704, 928, 1152]
    assert split_channels((3, 3, 96, 1), 20 * 1024) == [0, 96]
    assert split_channels((5, 5, 48, 1), 100) == [0, 48]  # fewer than twice the lanes are never split
    assert split_channels((5, 5, 120, 1), 20 * 1024) == [0, 128]  # whole vectors


def test_a_small_rest_of_the_outputs_becomes_a_part():
    assert split_outputs(80) == [0, 64, 80]
    assert split_outputs(96) == [0, 96]
    assert split_outputs(88) == [0, 88]  # the rest of 24 takes the wide kernel, too
    assert split_outputs(40) == [0, 40]  # with so few outputs, joining costs as much as it saves


@pytest.mark.parametrize(
    "variant", ["a1", *(pytest.param(name, marks=pytest.mark.variation) for name in ("small", "b1", "b1-2019"))]
)
def test_a_split_net_has_the_same_outputs(variant):
    definition = untrained_graph(variant, 0.5, 32)
    changed = split_bottlenecks(definition, 6 * 1024)
    nodes = {node.name: node for node in changed.node}
    parts = [node for node in changed.node if node.op == "DepthwiseConv2dNative" and "/part_" in node.name]
    assert parts
    assert all(constant_value(nodes[part.input[1]]).nbytes <= 6 * 1024 * 1.5 for part in parts)
    assert_same_outputs(changed, definition, (2, 32, 32, 3), ["logits"])


def test_a_split_detector_has_the_same_outputs(tmp_path):
    definition = untrained_detector("small", tmp_path)
    changed = split_bottlenecks(definition, 6 * 1024)
    assert any("/part_" in node.name for node in changed.node)
    assert_same_outputs(changed, definition, (1, 64, 64, 3), HEAD_OUTPUTS)


def test_projections_in_two_parts_have_the_same_outputs():
    definition = untrained_graph("b1", 1.0, 32)
    changed = split_bottlenecks(definition)
    joined = [node for node in changed.node if node.op == "ConcatV2"]
    assert len(joined) == 2  # the blocks that end in 80 channels
    assert_same_outputs(changed, definition, (2, 32, 32, 3), ["logits"])


@pytest.mark.parametrize("variant", ["a1", pytest.param("b1", marks=pytest.mark.variation)])
def test_classes_are_padded_and_the_padding_is_removed(variant):
    definition = untrained_graph(variant, 0.35, 32)
    changed = pad_classes(definition)
    nodes = {node.name: node for node in changed.node}
    (product,) = (node for node in changed.node if node.op == "Conv2D" and node.name.endswith("/filled"))
    assert constant_value(nodes[product.input[1]]).shape[3] == 1024
    squeezes = [node.name for node in definition.node if node.op == "Mean"]
    assert len(squeezes) > 1 or variant == "b1"  # the means of squeeze-excites are not touched
    assert_same_outputs(changed, definition, (2, 32, 32, 3), ["logits", "probabilities"])
