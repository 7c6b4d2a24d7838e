"""Inverted bottlenecks in widths that suit the processor: parts that stay in its first cache, in whole vectors.

XNNPACK takes a depthwise convolution pixel by pixel, all channels of one before the next. Where the filters of all
channels together don't fit into the first-level data cache (25 × 480 × 4 bytes = 48 kB), they come from the second
level again for every pixel: a 5×5 convolution of 480 channels at 14 px took 122 µs, two of 240 took 59. So an inverted
bottleneck is cut along its expanded channels: what expands, convolves and projects each part is a net of its own, and
the parts' projections add up to that of the whole, since a projection is a sum over channels.

A width that is no whole number of vectors (120 = 7.5 × 16 floats) leaves lanes idle in every row, so it is filled
up with channels of zeros, which nothing reads: a 5×5 bottleneck of 40 and 120 channels at 28 px took 139 µs, with 128
it takes 125.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mnasnet_cli.artifacts.graphs import constant_node, constant_value, node_name

CACHE_BYTES = 20 * 1024  # of filters; the processor that this was measured on has 48 kB, phones 32 to 64
LANES = 32  # channels that matrix products take at once: parts are multiples of it
VECTOR = 16  # channels in a vector of AVX-512, four of NEON's


class Bottleneck(NamedTuple):
    """The nodes of an inverted bottleneck with folded batch norms, in their order; `project_bias` is its output."""

    expand: Any
    expand_bias: Any
    expand_relu: Any
    depthwise: Any
    depthwise_bias: Any
    depthwise_relu: Any
    project: Any
    project_bias: Any


def narrow_bottlenecks(definition: Any, cache_bytes: int = CACHE_BYTES) -> Any:
    """The graph with its wide bottlenecks cut, odd ones filled up; the same but for the order of sums."""
    nodes = {node.name: node for node in definition.node}
    users: dict[str, list[Any]] = {}
    for node in definition.node:
        for name in node.input:
            users.setdefault(node_name(name), []).append(node)
    gone: set[str] = set()
    added: list[Any] = []
    for node in definition.node:
        block = _bottleneck(node, nodes, users) if node.op == "DepthwiseConv2dNative" else None
        if block is None:
            continue
        shape = constant_value(nodes[node_name(node.input[1])]).shape
        cuts = _cuts(shape, cache_bytes)
        if len(cuts) > 2 or cuts[-1] > shape[2]:
            gone.update(part.name for part in block)
            added += _cut(block, nodes, cuts)
    narrowed = tf.compat.v1.GraphDef(versions=definition.versions)
    narrowed.node.extend([node for node in definition.node if node.name not in gone] + added)
    return narrowed


def _bottleneck(depthwise: Any, nodes: dict[str, Any], users: dict[str, list[Any]]) -> Bottleneck | None:
    """The bottleneck around a depthwise convolution; None where something is in between, such as squeeze-excite."""
    before, after = [depthwise], [depthwise]
    for op in ("Relu", "BiasAdd", "Conv2D"):
        node = nodes[node_name(before[0].input[0])]
        if not node.op.startswith(op) or len(users[node.name]) != 1:
            return None
        before.insert(0, node)
    for op in ("BiasAdd", "Relu", "Conv2D", "BiasAdd"):
        following = users.get(after[-1].name, [])
        if len(following) != 1 or not following[0].op.startswith(op):
            return None
        after.append(following[0])
    block = Bottleneck(*before, *after[1:])
    with_weights = (*block[:2], *block[3:5], *block[6:])
    constant = all(nodes[node_name(node.input[1])].op == "Const" for node in with_weights)
    return block if constant and constant_value(nodes[node_name(block.expand.input[1])]).shape[:2] == (1, 1) else None


def _cuts(kernel_shape: Sequence[int], cache_bytes: int) -> list[int]:
    """Where the channels of a depthwise kernel [k, k, C, 1] are cut, so that each part fits: from 0 to C or above."""
    height, width, channels = kernel_shape[:3]
    channels = -(-channels // VECTOR) * VECTOR
    units = channels // LANES
    parts = min(-(-height * width * channels * 4 // cache_bytes), max(units, 1))
    return [round(part * units / parts) * LANES for part in range(parts)] + [channels]


def _cut(block: Bottleneck, nodes: dict[str, Any], cuts: Sequence[int]) -> list[Any]:
    """The nodes that take the place of a bottleneck's; the last has its name."""
    made: list[Any] = []

    def copy(node: Any, part: int, source: str, weights: np.ndarray | None = None) -> str:
        """A node for one part, fed by `source`, with its share of the weights."""
        twin = tf.compat.v1.NodeDef()
        twin.CopyFrom(node)
        twin.name = f"{node.name}/part_{part}"
        del twin.input[:]
        twin.input.append(source)
        if weights is not None:
            share = constant_node(f"{twin.name}/weights", np.ascontiguousarray(weights))
            made.append(share)
            twin.input.append(share.name)
        made.append(twin)
        return str(twin.name)

    def values(node: Any, axis: int) -> np.ndarray:
        """The weights of a node, filled up with zeros along `axis`, that of the expanded channels."""
        found = constant_value(nodes[node_name(node.input[1])])
        filling = [(0, 0)] * found.ndim
        filling[axis] = (0, cuts[-1] - found.shape[axis])
        return np.pad(found, filling)

    total = ""
    for part, (start, stop) in enumerate(pairwise(cuts)):
        name = copy(block.expand, part, block.expand.input[0], values(block.expand, 3)[..., start:stop])
        name = copy(block.expand_bias, part, name, values(block.expand_bias, 0)[start:stop])
        name = copy(block.expand_relu, part, name)
        name = copy(block.depthwise, part, name, values(block.depthwise, 2)[:, :, start:stop])
        name = copy(block.depthwise_bias, part, name, values(block.depthwise_bias, 0)[start:stop])
        name = copy(block.depthwise_relu, part, name)
        name = copy(block.project, part, name, values(block.project, 2)[:, :, start:stop])
        total_so_far, total = total, f"{block.project_bias.name}/sum_{part}"
        if stop == cuts[-1]:
            total = block.project_bias.name
        add = tf.compat.v1.NodeDef(op="AddV2", name=total, input=[total_so_far, name])
        if part == 0:
            add.CopyFrom(block.project_bias)
            add.name, add.input[0] = total, name
        else:
            add.attr["T"].CopyFrom(block.project_bias.attr["T"])
        made.append(add)
    return made
