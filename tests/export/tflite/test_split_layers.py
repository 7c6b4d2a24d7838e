"""Layers in parts and whole vectors: the same net, and only where the pattern fits."""

from __future__ import annotations

import pytest
from graph_cases import assert_same_outputs, with_random_biases
from made_models import detector_config, make_checkpoint

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.graph import build_graph, constant_value
from mnasnet_cli.export.tflite.split_layers import _cuts, _ends, fill_classes, narrow_bottlenecks
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.inference.outputs import HEAD_OUTPUTS
from mnasnet_cli.latency.variants import untrained_model


def test_cuts_are_multiples_of_the_lanes_and_cover_all_channels():
    assert _cuts((5, 5, 480, 1), 20 * 1024) == [0, 160, 320, 480]
    assert _cuts((5, 5, 1152, 1), 24 * 1024) == [0, 224, 448, 704, 928, 1152]
    assert _cuts((3, 3, 96, 1), 20 * 1024) == [0, 96]
    assert _cuts((5, 5, 48, 1), 100) == [0, 48]  # fewer than two times the lanes are never cut
    assert _cuts((5, 5, 120, 1), 20 * 1024) == [0, 128]  # whole vectors


def test_outputs_are_cut_where_a_few_would_spoil_the_kernel_of_all():
    assert _ends(80) == [0, 64, 80]
    assert _ends(96) == [0, 96]
    assert _ends(88) == [0, 88]  # 24 more take the wide kernel, too
    assert _ends(40) == [0, 40]  # so few that joining costs what is won


@pytest.mark.parametrize("variant", ["b1", "a1", "b1-2019", "small"])
def test_a_narrowed_net_says_the_same(variant):
    definition = with_random_biases(build_graph(untrained_model(variant, 0.5, 32), None).definition)
    narrowed = narrow_bottlenecks(definition, 6 * 1024)
    nodes = {node.name: node for node in narrowed.node}
    parts = [node for node in narrowed.node if node.op == "DepthwiseConv2dNative" and "/part_" in node.name]
    assert parts
    assert all(constant_value(nodes[part.input[1]]).nbytes <= 6 * 1024 * 1.5 for part in parts)
    assert_same_outputs(narrowed, definition, (2, 32, 32, 3), ["logits"])


def test_a_narrowed_detector_says_the_same(tmp_path):
    make_checkpoint(tmp_path, detector_config("small"), ["1", "2"], ["ant", "bee"])
    model = load_model(find_checkpoint(str(tmp_path)))
    definition = with_random_biases(build_graph(model, None, heads=True).definition)
    narrowed = narrow_bottlenecks(definition, 6 * 1024)
    assert any("/part_" in node.name for node in narrowed.node)
    assert_same_outputs(narrowed, definition, (1, 64, 64, 3), HEAD_OUTPUTS)


def test_outputs_in_two_pieces_say_the_same():
    definition = with_random_biases(build_graph(untrained_model("b1", 1.0, 32), None).definition)
    narrowed = narrow_bottlenecks(definition)
    joined = [node for node in narrowed.node if node.op == "ConcatV2"]
    assert len(joined) == 3  # the blocks that end in 80 channels
    assert_same_outputs(narrowed, definition, (2, 32, 32, 3), ["logits"])


@pytest.mark.parametrize("variant", ["b1", "a1"])
def test_classes_are_filled_up_and_dropped_again(variant):
    definition = with_random_biases(build_graph(untrained_model(variant, 0.35, 32), None).definition)
    filled = fill_classes(definition)
    nodes = {node.name: node for node in filled.node}
    (product,) = (node for node in filled.node if node.op == "Conv2D" and node.name.endswith("/filled"))
    assert constant_value(nodes[product.input[1]]).shape[3] == 1024
    squeezes = [node.name for node in definition.node if node.op == "Mean"]
    assert len(squeezes) > 1 or variant == "b1"  # those of squeeze-excite stay as they are
    assert_same_outputs(filled, definition, (2, 32, 32, 3), ["logits", "probabilities"])
