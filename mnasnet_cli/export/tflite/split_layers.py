"""Splits and pads layers so that their widths suit the processor. The outputs stay the same.

XNNPACK computes a depthwise convolution pixel by pixel, with all channels of a pixel before the next pixel. If the
filters of all channels exceed the L1 data cache (25 × 480 × 4 bytes = 48 kB), they are read from L2 for every pixel.
So an inverted bottleneck is split along its expanded channels. Each part expands, convolves and projects its own
channels. The sum of the parts' projections is the projection of the whole, because a projection is a sum over channels.

Widths that are no multiple of a vector (120 = 7.5 × 16 floats) leave lanes idle. They are padded with zero channels.

The classes of a classifier are padded likewise. If they don't fill the lanes of the matrix product, XNNPACK takes a
kernel of half the width, which waits for its own sums. A projection to 80 channels becomes one to 64 and one to 16, so
that only the second one takes the smaller kernel.

| layer | before | after |
|---|---|---|
| 5×5 depthwise convolution of 480 channels at 14 px | 122 µs | 59 µs in two parts |
| 5×5 bottleneck of 40 and 120 channels at 28 px | 139 µs | 125 µs with 128 channels |
| classes | 105 µs with 1,000 | 93 µs with 1,024 |
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.graph import constant_node
from mnasnet_cli.export.tflite.graph_patterns import GraphIndex, copy_chain, copy_node, new_node, replace_nodes

CACHE_BYTES = 20 * 1024  # for filters; the processor of the measurements has 48 kB of L1 data cache, phones 32 to 64
LANES = 32  # channels that a matrix product computes at once; parts are multiples of it
VECTOR = 16  # floats in a vector of AVX-512, four vectors of NEON


class Bottleneck(NamedTuple):
    """The nodes of an inverted bottleneck with folded batch norms, in their order; `project_bias` is the output."""

    expand: Any
    expand_bias: Any
    expand_relu: Any
    depthwise: Any
    depthwise_bias: Any
    depthwise_relu: Any
    project: Any
    project_bias: Any


class Weights(NamedTuple):
    """The weights of a bottleneck with C expanded channels."""

    expand: np.ndarray
    """[1, 1, inputs, C]"""
    expand_bias: np.ndarray
    """[C]"""
    depthwise: np.ndarray
    """[k, k, C, 1]"""
    depthwise_bias: np.ndarray
    """[C]"""
    project: np.ndarray
    """[1, 1, C, outputs]"""
    project_bias: np.ndarray
    """[outputs]"""

    def padded(self, channels: int) -> Weights:
        """Return the weights with zeros for the expanded channels C to `channels`."""
        return Weights(
            expand=_padded(self.expand, 3, channels),
            expand_bias=_padded(self.expand_bias, 0, channels),
            depthwise=_padded(self.depthwise, 2, channels),
            depthwise_bias=_padded(self.depthwise_bias, 0, channels),
            project=_padded(self.project, 2, channels),
            project_bias=self.project_bias,
        )

    def part(self, start: int, stop: int) -> Weights:
        """Return the weights of the expanded channels `start` to `stop`."""
        return Weights(
            expand=self.expand[..., start:stop],
            expand_bias=self.expand_bias[start:stop],
            depthwise=self.depthwise[:, :, start:stop],
            depthwise_bias=self.depthwise_bias[start:stop],
            project=self.project[:, :, start:stop],
            project_bias=self.project_bias,
        )


def split_bottlenecks(definition: Any, cache_bytes: int = CACHE_BYTES) -> Any:
    """Return the graph with its wide bottlenecks split and its odd widths padded.

    The outputs stay the same except for the order of sums.
    """
    graph = GraphIndex(definition)
    removed: set[str] = set()
    added: list[Any] = []
    for node in definition.node:
        block = _match_bottleneck(node, graph) if node.op == "DepthwiseConv2dNative" else None
        if block is None:
            continue
        weights = _weights(block, graph)
        channels = split_channels(weights.depthwise.shape, cache_bytes)
        outputs = split_outputs(len(weights.project_bias))
        if len(channels) > 2 or channels[-1] > len(weights.depthwise_bias) or len(outputs) > 2:
            removed.update(part.name for part in block)
            added += _split(block, weights.padded(channels[-1]), channels, outputs)
    return replace_nodes(definition, removed, added)


def split_channels(kernel_shape: Sequence[int], cache_bytes: int) -> list[int]:
    """Return the boundaries of the parts of a depthwise kernel [k, k, C, 1], so that each part fits into the cache.

    They run from 0 to C, rounded up to whole vectors.
    """
    height, width, channels = kernel_shape[:3]
    channels = -(-channels // VECTOR) * VECTOR
    units = channels // LANES
    parts = min(-(-height * width * channels * 4 // cache_bytes), max(units, 1))
    return [round(part * units / parts) * LANES for part in range(parts)] + [channels]


def split_outputs(width: int) -> list[int]:
    """Return the boundaries of the parts of a projection's outputs, from 0 to `width`.

    80 outputs become 64 with a kernel of 32 lanes and 16 with a kernel of 16. In one convolution, all would get a
    kernel of 16 lanes.
    """
    rest = width % LANES
    return [0, width - rest, width] if width > 2 * LANES and 0 < rest <= VECTOR else [0, width]


def pad_classes(definition: Any) -> Any:
    """Return the graph with a classifier's classes padded to whole lanes; a Slice removes the padding again."""
    graph = GraphIndex(definition)
    for mean in (node for node in definition.node if node.op == "Mean"):
        chain = graph.match_chain(mean, after=("Conv2D", "BiasAdd", "Squeeze"))  # a squeeze-excite has no Squeeze
        if chain and (classes := graph.weights(chain[1]).shape[3]) > LANES and classes % LANES:
            _, product, bias, _ = chain
            return replace_nodes(definition, {product.name, bias.name}, _pad_classes(product, bias, graph, classes))
    return definition


def _match_bottleneck(depthwise: Any, graph: GraphIndex) -> Bottleneck | None:
    """Return the bottleneck around a depthwise convolution, or None if there is another layer, as squeeze-excite."""
    chain = graph.match_chain(depthwise, ("Conv2D", "BiasAdd", "Relu"), ("BiasAdd", "Relu", "Conv2D", "BiasAdd"))
    block = Bottleneck(*chain) if chain else None
    return block if block and graph.weights(block.expand).shape[:2] == (1, 1) else None


def _weights(block: Bottleneck, graph: GraphIndex) -> Weights:
    return Weights(**{name: graph.weights(getattr(block, name)) for name in Weights._fields})


def _split(block: Bottleneck, weights: Weights, channels: Sequence[int], outputs: Sequence[int]) -> list[Any]:
    """Return the nodes that replace a bottleneck. The last one has the name of its output.

    Args:
      weights: padded to the last of `channels`.
      channels, outputs: the boundaries of the parts.
    """
    parts = [weights.part(start, stop) for start, stop in pairwise(channels)]
    hidden = [_expand_and_convolve(block, part, f"part_{number}") for number, part in enumerate(parts)]
    hidden_names = [nodes[-1].name for nodes in hidden]
    projections = [
        _project(block, parts, hidden_names, slice(start, stop), f"end_{number}")
        for number, (start, stop) in enumerate(pairwise(outputs))
    ]
    nodes = [node for group in (*hidden, *projections) for node in group]
    if len(projections) > 1:
        nodes += _concatenate(block.project_bias, [group[-1].name for group in projections])
    nodes[-1].name = block.project_bias.name
    return nodes


def _expand_and_convolve(block: Bottleneck, part: Weights, suffix: str) -> list[Any]:
    """Return the nodes from the bottleneck's input to the ReLU before the projection, for a part of the channels."""
    chain = [
        (block.expand, part.expand),
        (block.expand_bias, part.expand_bias),
        (block.expand_relu, None),
        (block.depthwise, part.depthwise),
        (block.depthwise_bias, part.depthwise_bias),
        (block.depthwise_relu, None),
    ]
    return copy_chain(chain, suffix, block.expand.input[0])


def _project(
    block: Bottleneck, parts: Sequence[Weights], hidden: Sequence[str], outputs: slice, suffix: str
) -> list[Any]:
    """Return the nodes that project all parts to some of the outputs, and add them up. The last one is the sum.

    Args:
      hidden: the name of each part's node before the projection.
    """
    nodes: list[Any] = []
    total = ""
    for number, (part, source) in enumerate(zip(parts, hidden, strict=True)):
        name = f"part_{number}/{suffix}"
        nodes += copy_node(block.project, name, source, part.project[..., outputs])
        if number == 0:
            nodes += copy_node(block.project_bias, name, nodes[-1].name, part.project_bias[outputs])
        else:
            inputs = [total, nodes[-1].name]
            nodes.append(new_node(f"{block.project_bias.name}/{name}", "AddV2", inputs, block.project_bias))
        total = nodes[-1].name
    return nodes


def _concatenate(output: Any, names: Sequence[str]) -> list[Any]:
    """Return the nodes that join tensors [N, H, W, C] along C, where `output` stood. The last one is the result."""
    axis = constant_node(f"{output.name}/axis", np.array(3, np.int32))
    joined = new_node("", "ConcatV2", [*names, axis.name], output)
    joined.attr["N"].i = len(names)
    joined.attr["Tidx"].type = tf.int32.as_datatype_enum
    return [axis, joined]


def _padded(values: np.ndarray, axis: int, width: int) -> np.ndarray:
    """Append zeros along `axis`, up to `width`."""
    padding = [(0, 0)] * values.ndim
    padding[axis] = (0, width - values.shape[axis])
    return np.pad(values, padding)


def _pad_classes(product: Any, bias: Any, graph: GraphIndex, classes: int) -> list[Any]:
    """Return the nodes that replace the layer of the classes. The last one has its name.

    The Slice stands before the Squeeze: LiteRT's CompiledModel rejects a file whose last operation is a Slice.
    """
    width = -(-classes // LANES) * LANES
    weights = [_padded(graph.weights(product), 3, width), _padded(graph.weights(bias), 0, width)]
    nodes = copy_chain(list(zip([product, bias], weights, strict=True)), "filled", product.input[0])
    begin = constant_node(f"{bias.name}/begin", np.zeros(4, np.int32))
    size = constant_node(f"{bias.name}/size", np.array([-1, 1, 1, classes], np.int32))
    kept = new_node(bias.name, "Slice", [nodes[-1].name, begin.name, size.name], bias)
    kept.attr["Index"].type = tf.int32.as_datatype_enum
    return [*nodes, begin, size, kept]
