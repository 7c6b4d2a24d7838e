"""Wide depthwise convolutions in parts whose filters stay in the processor's first cache.

XNNPACK takes a depthwise convolution pixel by pixel, all channels of one before the next. Where the filters of all
channels together don't fit into the first-level data cache (25 × 480 × 4 bytes = 48 kB), they come from the second
level again for every pixel: a 5×5 convolution of 480 channels at 14 px took 122 µs, two of 240 took 59. So an inverted
bottleneck is cut along its expanded channels: what expands, convolves and projects each part is a net of its own, and
the parts' projections add up to that of the whole, since a projection is a sum over channels.
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
    """The graph with its wide bottlenecks cut; it computes the same but for the order of the sums."""
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
        cuts = _cuts(constant_value(nodes[node_name(node.input[1])]).shape, cache_bytes)
        if len(cuts) > 2:
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
    """Where the channels of a depthwise kernel [k, k, C, 1] are cut, from 0 to C, so that each part fits."""
    height, width, channels = kernel_shape[:3]
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

    def values(node: Any) -> np.ndarray:
        return constant_value(nodes[node_name(node.input[1])])

    total = ""
    for part, (start, stop) in enumerate(pairwise(cuts)):
        name = copy(block.expand, part, block.expand.input[0], values(block.expand)[..., start:stop])
        name = copy(block.expand_bias, part, name, values(block.expand_bias)[start:stop])
        name = copy(block.expand_relu, part, name)
        name = copy(block.depthwise, part, name, values(block.depthwise)[:, :, start:stop])
        name = copy(block.depthwise_bias, part, name, values(block.depthwise_bias)[start:stop])
        name = copy(block.depthwise_relu, part, name)
        name = copy(block.project, part, name, values(block.project)[:, :, start:stop])
        if part == 0:
            total = copy(block.project_bias, part, name, values(block.project_bias))
            continue
        last = stop == cuts[-1]
        add = tf.compat.v1.NodeDef(op="AddV2", input=[total, name])
        add.name = block.project_bias.name if last else f"{block.project_bias.name}/sum_{part}"
        add.attr["T"].CopyFrom(block.project_bias.attr["T"])
        made.append(add)
        total = add.name
    return made
