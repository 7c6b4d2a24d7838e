"""Replaces projections of 17 to 31 outputs by matrix products, which XNNPACK computes faster than convolutions.

For a 1×1 convolution of 17 to 31 outputs XNNPACK runs a kernel of 16 lanes twice. For a matrix product it runs a kernel
of 32 lanes once. Each row of an image becomes a matrix if it fills the tiles of that kernel. Rows that fill them badly,
for example 8 pixels, are joined: all pixels are one matrix, although XNNPACK copies a reshaped tensor that has two
consumers.

A matrix product has no bias, and a separate addition would cost the time that was saved. But the net is linear between
bottlenecks, so the bias b of a projection moves on: residual sums pass it through, and the convolutions that expand the
next bottlenecks add it to their own bias c, since W(x + b) + c = Wx + (Wb + c). The outputs stay the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.graph import constant_node
from mnasnet_cli.export.tflite.graph_patterns import GraphIndex, new_node, replace_nodes
from mnasnet_cli.export.tflite.split_layers import LANES, VECTOR

TILE_ROWS = 7  # rows of a matrix that XNNPACK's kernel computes at once with AVX-512
MIN_FILLED = 0.95  # share of the tiles' rows that a row of an image must fill
_SUMS = ("Add", "AddV2")


class BiasedConvolution(NamedTuple):
    """A convolution and the BiasAdd that is its only consumer."""

    convolution: Any
    bias: Any


def convolutions_to_matmuls(definition: Any) -> Any:
    """Return the graph with its projections of 17 to 31 outputs as matrix products, where their biases can move on."""
    for name, shape in _convolution_shapes(definition).items():
        graph = GraphIndex(definition)
        convolution = graph.node(name)
        if not _suits_matmul(convolution, graph):
            continue
        chain = graph.match_chain(convolution, after=("BiasAdd",))
        if chain is not None:
            definition = _replace_projection(definition, BiasedConvolution(*chain), shape, graph)
        elif all(consumer.op in _SUMS for consumer in graph.consumers(convolution)):  # a part of a split projection
            definition = replace_nodes(definition, {name}, _matmul(convolution, name, shape, graph))
    return definition


def _convolution_shapes(definition: Any) -> dict[str, list[int | None]]:
    """Return the output shape of each convolution: [N, H, W, C], with None for an open number of images."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    return {op.name: op.outputs[0].shape.as_list() for op in graph.get_operations() if op.type == "Conv2D"}


def _suits_matmul(convolution: Any, graph: GraphIndex) -> bool:
    """Return whether this is a 1×1 convolution of 17 to 31 outputs with stride 1 and a constant kernel."""
    if graph.match_chain(convolution) is None or set(convolution.attr["strides"].list.i) != {1}:
        return False
    shape = graph.weights(convolution).shape
    return shape[:2] == (1, 1) and VECTOR < shape[3] < LANES


def _replace_projection(
    definition: Any, projection: BiasedConvolution, shape: Sequence[int | None], graph: GraphIndex
) -> Any:
    """Return the graph with a matrix product for a projection, or as it was if the bias can't move on."""
    receivers = _bias_receivers(projection.bias, graph)
    if not receivers:
        return definition
    removed = {projection.convolution.name, projection.bias.name}
    added = _matmul(projection.convolution, projection.bias.name, shape, graph)
    counts = Counter(receiver.bias.name for receiver in receivers)
    for name, receiver in {receiver.bias.name: receiver for receiver in receivers}.items():
        removed.add(name)
        added += _add_bias(receiver, projection.bias, counts[name], graph)
    return replace_nodes(definition, removed, added)


def _bias_receivers(node: Any, graph: GraphIndex) -> list[BiasedConvolution]:
    """Return the 1×1 convolutions that `node` reaches through sums only, or nothing if it reaches another consumer.

    A convolution is listed once for each path, so twice if a sum adds a tensor to itself.
    """
    receivers: list[BiasedConvolution] = []
    for consumer in graph.consumers(node):
        if consumer.op in _SUMS:
            reached = _bias_receivers(consumer, graph)
        else:
            reached = _biased_pointwise(consumer, graph)
        if not reached:
            return []
        receivers += reached
    return receivers


def _biased_pointwise(node: Any, graph: GraphIndex) -> list[BiasedConvolution]:
    """Return `node` with its bias if it is a 1×1 convolution that has one, else nothing."""
    chain = graph.match_chain(node, after=("BiasAdd",)) if node.op == "Conv2D" else None
    return [BiasedConvolution(*chain)] if chain and graph.weights(node).shape[:2] == (1, 1) else []


def _add_bias(receiver: BiasedConvolution, bias: Any, count: int, graph: GraphIndex) -> list[Any]:
    """Return the receiver's BiasAdd with a new constant, c + count · Wb, where `bias` holds b."""
    kernel = graph.weights(receiver.convolution)[0, 0].astype(np.float64)
    moved = graph.weights(bias).astype(np.float64)
    total = graph.weights(receiver.bias) + count * moved @ kernel
    constant = constant_node(f"{receiver.bias.name}/with/{bias.name}", total.astype(np.float32))
    changed = tf.compat.v1.NodeDef()
    changed.CopyFrom(receiver.bias)
    changed.input[1] = constant.name
    return [constant, changed]


def _matmul(convolution: Any, name: str, shape: Sequence[int | None], graph: GraphIndex) -> list[Any]:
    """Return the nodes that compute the convolution as a matrix product.

    Args:
      name: of the last node, the result.
      shape: of the result, [N, H, W, C].
    """
    pixels, kernel = convolution.input
    inputs, width = graph.weights(convolution).shape[2], shape[2]
    if width and width >= MIN_FILLED * TILE_ROWS * -(-width // TILE_ROWS):
        return [new_node(name, "BatchMatMulV2", [pixels, kernel], convolution)]
    flat = _reshape(f"{name}/flat", pixels, [1, 1, -1, inputs], convolution)
    product = new_node(f"{name}/product", "BatchMatMulV2", [flat[-1].name, kernel], convolution)
    return [*flat, product, *_reshape(name, product.name, [-1, *shape[1:]], convolution)]


def _reshape(name: str, source: str, shape: Sequence[int | None], like: Any) -> list[Any]:
    """Return a Reshape and the constant that it needs; its data type is that of the node `like`."""
    constant = constant_node(f"{name}/shape", np.array(shape, np.int32))
    node = new_node(name, "Reshape", [source, constant.name], like)
    node.attr["Tshape"].type = tf.int32.as_datatype_enum
    return [constant, node]
