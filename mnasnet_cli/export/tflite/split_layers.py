"""Layers in widths that suit the processor: parts that stay in its first cache, in whole vectors.

XNNPACK takes a depthwise convolution pixel by pixel, all channels of one before the next. Where the filters of all
channels together don't fit into the first-level data cache (25 × 480 × 4 bytes = 48 kB), they come from the second
level again for every pixel: a 5×5 convolution of 480 channels at 14 px took 122 µs, two of 240 took 59. So an inverted
bottleneck is cut along its expanded channels: what expands, convolves and projects each part is a net of its own, and
the parts' projections add up to that of the whole, since a projection is a sum over channels.

A width that is no whole number of vectors (120 = 7.5 × 16 floats) leaves lanes idle in every row, so it is filled
up with channels of zeros, which nothing reads: a 5×5 bottleneck of 40 and 120 channels at 28 px took 139 µs, with 128
it takes 125. The same holds for the classes: where a thousand of them don't fill the lanes of matrix products, XNNPACK
takes a kernel of half as many lanes, which waits for its own sums; with 24 more, it took 12 µs less, of 105. And a
projection to 80 channels is one to 64 and one to 16, so that only the latter gets that kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.graph import constant_node
from mnasnet_cli.export.tflite.graph_patterns import Stretches, new_node, replaced, twin

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
    stretches = Stretches(definition)
    gone: set[str] = set()
    added: list[Any] = []
    for node in definition.node:
        block = _bottleneck(node, stretches) if node.op == "DepthwiseConv2dNative" else None
        if block is None:
            continue
        shape = stretches.weights(node).shape
        cuts = _cuts(shape, cache_bytes)
        ends = _ends(stretches.weights(block.project).shape[3])
        if len(cuts) > 2 or cuts[-1] > shape[2] or len(ends) > 2:
            gone.update(part.name for part in block)
            added += _cut(block, stretches, cuts, ends)
    return replaced(definition, gone, added)


def _bottleneck(depthwise: Any, stretches: Stretches) -> Bottleneck | None:
    """The bottleneck around a depthwise convolution; None where something is in between, such as squeeze-excite."""
    found = stretches.around(depthwise, ("Conv2D", "BiasAdd", "Relu"), ("BiasAdd", "Relu", "Conv2D", "BiasAdd"))
    block = Bottleneck(*found) if found else None
    return block if block and stretches.weights(block.expand).shape[:2] == (1, 1) else None


def _cuts(kernel_shape: Sequence[int], cache_bytes: int) -> list[int]:
    """Where the channels of a depthwise kernel [k, k, C, 1] are cut, so that each part fits: from 0 to C or above."""
    height, width, channels = kernel_shape[:3]
    channels = -(-channels // VECTOR) * VECTOR
    units = channels // LANES
    parts = min(-(-height * width * channels * 4 // cache_bytes), max(units, 1))
    return [round(part * units / parts) * LANES for part in range(parts)] + [channels]


def _ends(width: int) -> list[int]:
    """Where the outputs of a projection are cut, so that no more lanes idle than must: from 0 to `width`.

    80 outputs are 64, whose kernel has 32 lanes, and 16, whose has 16. In one convolution all would get the latter.
    """
    rest = width % LANES
    return [0, width - rest, width] if width > 2 * LANES and 0 < rest <= VECTOR else [0, width]


def _cut(block: Bottleneck, stretches: Stretches, cuts: Sequence[int], ends: Sequence[int]) -> list[Any]:
    """The nodes that take the place of a bottleneck's; the last has its name."""
    made: list[Any] = []

    def copy(node: Any, suffix: str, source: str, weights: np.ndarray | None = None) -> str:
        """A node of a part, fed by `source`, with its share of the weights."""
        made.extend(twin(node, suffix, source, weights))
        return str(made[-1].name)

    def values(node: Any, axis: int) -> np.ndarray:
        """The weights of a node, filled up along `axis`, that of the expanded channels."""
        return _filled(stretches.weights(node), axis, cuts[-1])

    totals = [""] * (len(ends) - 1)
    for number, (start, stop) in enumerate(pairwise(cuts)):
        part = f"part_{number}"
        name = copy(block.expand, part, block.expand.input[0], values(block.expand, 3)[..., start:stop])
        name = copy(block.expand_bias, part, name, values(block.expand_bias, 0)[start:stop])
        name = copy(block.expand_relu, part, name)
        name = copy(block.depthwise, part, name, values(block.depthwise, 2)[:, :, start:stop])
        name = copy(block.depthwise_bias, part, name, values(block.depthwise_bias, 0)[start:stop])
        hidden = copy(block.depthwise_relu, part, name)
        for end, (first, last) in enumerate(pairwise(ends)):
            suffix = f"{part}/end_{end}"
            name = copy(block.project, suffix, hidden, values(block.project, 2)[:, :, start:stop, first:last])
            if number == 0:
                bias = stretches.weights(block.project_bias)[first:last]
                totals[end] = copy(block.project_bias, suffix, name, bias)
            else:
                sums = [totals[end], name]
                made.append(new_node(f"{block.project_bias.name}/{suffix}", "AddV2", sums, block.project_bias))
                totals[end] = str(made[-1].name)
    if len(totals) > 1:
        axis = constant_node(f"{block.project_bias.name}/axis", np.array(3, np.int32))
        whole = new_node("", "ConcatV2", [*totals, axis.name], block.project_bias)
        whole.attr["N"].i = len(totals)
        whole.attr["Tidx"].type = tf.int32.as_datatype_enum
        made += [axis, whole]
    made[-1].name = block.project_bias.name
    return made


def _filled(values: np.ndarray, axis: int, width: int) -> np.ndarray:
    """`values` with zeros behind them along `axis`, up to `width`."""
    filling = [(0, 0)] * values.ndim
    filling[axis] = (0, width - values.shape[axis])
    return np.pad(values, filling)


def fill_classes(definition: Any) -> Any:
    """The graph with a classifier's classes filled up, and those that are too many dropped again; the same."""
    stretches = Stretches(definition)
    for mean in (node for node in definition.node if node.op == "Mean"):
        found = stretches.around(mean, (), ("Conv2D", "BiasAdd", "Squeeze"))  # a squeeze-excite has no Squeeze
        if found and (classes := stretches.weights(found[1]).shape[3]) > LANES and classes % LANES:
            _, product, bias, _ = found
            return replaced(definition, {product.name, bias.name}, _fill(product, bias, stretches, classes))
    return definition


def _fill(product: Any, bias: Any, stretches: Stretches, classes: int) -> list[Any]:
    """The nodes that take the place of the layer of the classes; the last has its name.

    They end before the Squeeze: what a Slice gives as a file's last word, LiteRT's CompiledModel refuses.
    """
    width = -(-classes // LANES) * LANES
    made = twin(product, "filled", product.input[0], _filled(stretches.weights(product), 3, width))
    made += twin(bias, "filled", made[-1].name, _filled(stretches.weights(bias), 0, width))
    begin = constant_node(f"{bias.name}/begin", np.zeros(4, np.int32))
    size = constant_node(f"{bias.name}/size", np.array([-1, 1, 1, classes], np.int32))
    kept = new_node(bias.name, "Slice", [made[-1].name, begin.name, size.name], bias)
    kept.attr["Index"].type = tf.int32.as_datatype_enum
    return [*made, begin, size, kept]
