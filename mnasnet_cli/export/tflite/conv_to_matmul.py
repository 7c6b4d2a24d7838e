"""Narrow projections as products of matrices, which fill the processor better than XNNPACK's convolutions do.

For a 1×1 convolution of 17 to 31 outputs XNNPACK takes a kernel of 16 lanes, and takes it twice; for a product of
matrices one of 32 lanes. Each row of an image is a matrix then, if it fills that kernel's tiles; where it would fill
them badly, as 8 pixels do, all pixels are one matrix, although XNNPACK copies what it reshapes for two readers.

A product has no bias, and an addition would cost what is won. But between bottlenecks everything is linear, so a
projection's bias b can wait: residual sums pass it on, and the convolutions that expand the next bottlenecks take it
into their own, for W(x + b) + c = Wx + (Wb + c). The net stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.graph import constant_node
from mnasnet_cli.export.tflite.graph_patterns import Stretches, new_node, replaced
from mnasnet_cli.export.tflite.split_layers import LANES, VECTOR

TILE = 7  # rows of a matrix that a product takes at once with AVX-512
FILLED = 0.95  # of the tiles, at least
_SUMS = ("Add", "AddV2")


class Biased(NamedTuple):
    """A convolution and the BiasAdd that it feeds alone."""

    convolution: Any
    bias: Any


def multiply_narrow_projections(definition: Any) -> Any:
    """The graph with its narrow projections as products of matrices where their biases can move; the same net."""
    for name, shape in _shapes_of_convolutions(definition).items():
        stretches = Stretches(definition)
        convolution = stretches.node(name)
        if not _is_narrow(convolution, stretches):
            continue
        found = stretches.around(convolution, (), ("BiasAdd",))
        if found is not None:
            definition = _without_bias(definition, Biased(*found), shape, stretches)
        elif all(user.op in _SUMS for user in stretches.users(convolution)):  # a part of a projection
            definition = replaced(definition, {name}, _product(convolution, name, shape, stretches))
    return definition


def _shapes_of_convolutions(definition: Any) -> dict[str, list[int | None]]:
    """What each convolution gives: [N, H, W, C] with None for a number of images that is open."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    return {op.name: op.outputs[0].shape.as_list() for op in graph.get_operations() if op.type == "Conv2D"}


def _is_narrow(convolution: Any, stretches: Stretches) -> bool:
    """Whether this is a 1×1 convolution of 17 to 31 outputs, whose kernel is a constant."""
    if stretches.around(convolution, (), ()) is None or set(convolution.attr["strides"].list.i) != {1}:
        return False
    shape = stretches.weights(convolution).shape
    return shape[:2] == (1, 1) and VECTOR < shape[3] < LANES


def _without_bias(definition: Any, projection: Biased, shape: Sequence[int | None], stretches: Stretches) -> Any:
    """The graph with a product in the place of a projection, if there is who takes its bias."""
    takers = _takers(projection.bias, stretches)
    if takers is None:
        return definition
    gone = {projection.convolution.name, projection.bias.name}
    added = _product(projection.convolution, projection.bias.name, shape, stretches)
    moved = stretches.weights(projection.bias).astype(np.float64)
    for name in dict.fromkeys(taker.bias.name for taker in takers):
        ways = [taker for taker in takers if taker.bias.name == name]  # more than one where a sum adds a tensor twice
        convolution, bias = ways[0]
        kernel = stretches.weights(convolution)[0, 0].astype(np.float64)
        total = stretches.weights(bias) + len(ways) * moved @ kernel
        constant = constant_node(f"{name}/with/{projection.bias.name}", total.astype(np.float32))
        taken = tf.compat.v1.NodeDef()
        taken.CopyFrom(bias)
        taken.input[1] = constant.name
        gone.add(name)
        added += [constant, taken]
    return replaced(definition, gone, added)


def _takers(node: Any, stretches: Stretches) -> list[Biased] | None:
    """The 1×1 convolutions that `node` reaches through sums alone, each as often as it does; None if others listen."""
    takers: list[Biased] = []
    for user in stretches.users(node):
        found = stretches.around(user, (), ("BiasAdd",)) if user.op == "Conv2D" else None
        if found is not None and stretches.weights(user).shape[:2] == (1, 1):
            takers.append(Biased(*found))
        elif user.op in _SUMS and (more := _takers(user, stretches)):
            takers += more
        else:
            return None
    return takers or None


def _product(convolution: Any, name: str, shape: Sequence[int | None], stretches: Stretches) -> list[Any]:
    """The nodes that give what the convolution does, of that shape [N, H, W, C]."""
    pixels, kernel = convolution.input
    inputs, width = stretches.weights(convolution).shape[2], shape[2]
    if width and width >= FILLED * TILE * -(-width // TILE):
        return [new_node(name, "BatchMatMulV2", [pixels, kernel], convolution)]
    flat = _reshaped(f"{name}/flat", pixels, [1, 1, -1, inputs], convolution)
    product = new_node(f"{name}/product", "BatchMatMulV2", [flat[-1].name, kernel], convolution)
    return [*flat, product, *_reshaped(name, product.name, [-1, *shape[1:]], convolution)]


def _reshaped(name: str, source: str, shape: Sequence[int | None], like: Any) -> list[Any]:
    """A Reshape and the constant that it needs; numbers of the type of `like`."""
    constant = constant_node(f"{name}/shape", np.array(shape, np.int32))
    node = new_node(name, "Reshape", [source, constant.name], like)
    node.attr["Tshape"].type = tf.int32.as_datatype_enum
    return [constant, node]
