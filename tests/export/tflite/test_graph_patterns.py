"""Chains of nodes: what matches, and what copies and replacements look like."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from graph_cases import run_graph

from mnasnet_cli.export.graph import constant_value
from mnasnet_cli.export.tflite.graph_patterns import GraphIndex, copy_chain, copy_node, new_node, replace_nodes


@pytest.fixture
def definition():
    """tensors [1, 2] → product → sum (+ bias) → relu, and a second consumer of relu."""
    with tf.Graph().as_default() as graph:
        tensors = tf.compat.v1.placeholder(tf.float32, [1, 2], name="tensors")
        product = tf.matmul(tensors, np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), name="product")
        biased = tf.nn.bias_add(product, np.array([1.0, -100.0], np.float32), name="biased")
        relu = tf.nn.relu6(biased, name="relu")
        tf.add(relu, relu, name="twice")
    return graph.as_graph_def()


def test_a_chain_matches_by_prefixes_in_both_directions(definition):
    graph = GraphIndex(definition)
    chain = graph.match_chain(graph.node("biased"), ("MatMul",), ("Relu",))
    assert [node.name for node in chain] == ["product", "biased", "relu"]
    np.testing.assert_array_equal(graph.weights(chain[1]), [1.0, -100.0])
    assert graph.match_chain(graph.node("product"), after=("Relu",)) is None
    assert graph.match_chain(graph.node("biased"), ("Conv2D",)) is None


def test_a_node_with_two_consumers_ends_a_chain(definition):
    graph = GraphIndex(definition)
    assert [node.name for node in graph.consumers(graph.node("relu"))] == ["twice", "twice"]
    assert graph.match_chain(graph.node("relu"), after=("Add",)) is None
    assert graph.match_chain(graph.node("twice"), before=("Relu",)) is None


def test_other_inputs_must_be_constants(definition):
    graph = GraphIndex(definition)
    assert graph.match_chain(graph.node("product")) is not None
    assert graph.match_chain(graph.node("twice")) is None


def test_copies_have_new_names_inputs_and_weights(definition):
    graph = GraphIndex(definition)
    constant, copy = copy_node(graph.node("biased"), "part", "elsewhere", np.zeros(2, np.float32))
    assert (copy.name, list(copy.input)) == ("biased/part", ["elsewhere", constant.name])
    assert not constant_value(constant).any()
    (copy,) = copy_node(graph.node("relu"), "part", "elsewhere")
    assert (copy.op, list(copy.input)) == ("Relu6", ["elsewhere"])
    assert graph.node("relu").input[0] == "biased"  # the original stays


def test_a_copied_chain_replaces_the_original(definition):
    graph = GraphIndex(definition)
    biased, relu = graph.node("biased"), graph.node("relu")
    chain = copy_chain([(biased, np.array([2.0, -100.0], np.float32)), (relu, None)], "new", biased.input[0])
    twice = new_node("twice", "AddV2", [chain[-1].name] * 2, relu)
    changed = replace_nodes(definition, {"biased", "relu", "twice"}, [*chain, twice])
    image = np.array([[1.0, 0.0]], np.float32)
    np.testing.assert_array_equal(run_graph(definition, image, ["twice"])[0], [[4.0, 0.0]])
    np.testing.assert_array_equal(run_graph(changed, image, ["twice"])[0], [[6.0, 0.0]])
