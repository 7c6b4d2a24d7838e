"""A model as a plain TensorFlow 1 graph: constants under slim's names, classic control flow, batch norm folded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from mnasnet_cli.data.preprocessing import preprocess_uint8
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import classify, detect_boxes, predict_heads

TENSORS = "tensors"
"""Name of the net's input in every graph, float32 [N, S, S, 3]."""

# How to multiply channels by a factor each: plainly, which converters to other formats fold into kernels, or by a
# depthwise convolution of 1×1, which they leave alone, and which TFLite and ONNX Runtime compute as fast.
MULTIPLY, SEPARATE = "Mul", "DepthwiseConv2dNative"
# From how many bytes on a kernel is shared, and not copied by converters. Copies save an operation: those of the lite
# family's small kernels save 3 % of its time at 320 px, for 0.6 MB. RetinaNet's would take 76 MB, and save nothing.
WORTH_SHARING = 2**18


@dataclass(frozen=True)
class Graph:
    """A graph with what goes in and comes out: name → tensor as it was built (for dtypes and shapes)."""

    definition: Any
    inputs: Mapping[str, tf.Tensor]
    outputs: Mapping[str, tf.Tensor]


def build_graph(loaded: LoadedModel, image_input: str | None, *, heads: bool = False, scaling: str = MULTIPLY) -> Graph:
    """The model from `image_input` (uint8 [N, H, W, 3] of any size), or from TENSORS where that is None.

    With an image input, TENSORS is the name of what preprocessing gives, so programs may feed that instead. With
    `heads`, a detector ends with its raw heads. `scaling`: see `fold_batch_norms`.
    """
    size = loaded.image_size
    graph = tf.Graph()
    with classic_graph(graph):
        variables = {name: tf.constant(value, name=name) for name, value in loaded.contents.weights.items()}
        if image_input is None:
            tensors = tf.compat.v1.placeholder(tf.float32, [None, size, size, 3], name=TENSORS)
            inputs = {TENSORS: tensors}
        else:
            images = tf.compat.v1.placeholder(tf.uint8, [None, None, None, 3], name=image_input)
            tensors = tf.identity(preprocess_uint8(images, loaded.preprocessing), name=TENSORS)
            inputs = {image_input: images}
        if loaded.postprocessing is None:
            found = classify(loaded.model, tensors, variables)
        elif heads:
            found = predict_heads(loaded.model, tensors, variables)
        else:
            found = detect_boxes(loaded.model, tensors, loaded.postprocessing, variables)
            # The Object Detection API's types: everything is a float.
            found = {name: tf.cast(values, tf.float32) for name, values in found.items()}
        outputs = {name: tf.identity(values, name=name) for name, values in found.items()}
    definition = fold_batch_norms(_reachable(graph.as_graph_def(), outputs), scaling)
    return Graph(_reachable(definition, outputs), inputs, outputs)


@contextlib.contextmanager
def classic_graph(graph: tf.Graph) -> Iterator[None]:
    """Builds into `graph`, with loops as nodes rather than as functions, which TensorFlow 1 programs can't all read."""
    before = tf.compat.v1.control_flow_v2_enabled()
    tf.compat.v1.disable_control_flow_v2()
    try:
        with graph.as_default():
            yield
    finally:
        if before:
            tf.compat.v1.enable_control_flow_v2()


def _reachable(definition: Any, outputs: Mapping[str, Any]) -> Any:
    """The nodes that the outputs need."""
    return tf.compat.v1.graph_util.extract_sub_graph(definition, list(outputs))


_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_NORM = "FusedBatchNormV3"


def fold_batch_norms(definition: Any, scaling: str = MULTIPLY) -> Any:
    """Batch norm behind a convolution becomes part of its kernel, and a bias.

        γ (w ∗ x - μ) / √(σ² + ε) + β  =  (w · f) ∗ x + (β - μ f)    with f = γ / √(σ² + ε)

    A kernel that several layers share (RetinaNet's subnets, where each level has statistics of its own) stays as it is,
    or it would have to be stored once for each of them: what it gives is multiplied by f, by the operation `scaling`
    (MULTIPLY in any case for kernels that are not WORTH_SHARING).
    """
    nodes = {node.name: node for node in definition.node}
    uses: dict[str, int] = {}
    for node in definition.node:
        for name in node.input:
            uses[node_name(name)] = uses.get(node_name(name), 0) + 1
    changed: dict[str, Any] = {}
    for norm in definition.node:
        if norm.op != _NORM or norm.attr["is_training"].b:
            continue
        convolution = nodes[node_name(norm.input[0])]
        statistics = [nodes[node_name(name)] for name in norm.input[1:5]]
        if convolution.op not in _CONVOLUTIONS or any(node.op != "Const" for node in statistics):
            continue
        gamma, beta, mean, variance = (constant_value(node).astype(np.float64) for node in statistics)
        factor = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
        kernel = nodes[node_name(convolution.input[1])]
        if kernel.op != "Const" or uses[kernel.name] > 1 or uses[convolution.name] > 1:
            small = kernel.op == "Const" and constant_value(kernel).nbytes < WORTH_SHARING
            scaled = _scaled(norm, factor, MULTIPLY if small else scaling)
        else:
            weights = constant_value(kernel)
            # A depthwise kernel is [k, k, C, 1], a full one [k, k, in, C].
            wide = factor[:, np.newaxis] if convolution.op == "DepthwiseConv2dNative" else factor
            changed[kernel.name] = [constant_node(kernel.name, (weights * wide).astype(weights.dtype))]
            scaled = []
        bias = constant_node(f"{norm.name}/bias", (beta - mean * factor).astype(np.float32))
        source = scaled[-1].name if scaled else norm.input[0]
        add = tf.compat.v1.NodeDef(name=norm.name, op="BiasAdd", input=[source, bias.name])
        add.attr["T"].CopyFrom(norm.attr["T"])
        changed[norm.name] = [*scaled, bias, add]
    folded = tf.compat.v1.GraphDef(versions=definition.versions)
    for node in definition.node:
        folded.node.extend(changed.get(node.name, [node]))
    return folded


def _scaled(norm: Any, factor: np.ndarray, operation: str) -> list[Any]:
    """Nodes that multiply what goes into a batch norm [N, H, W, C] by a factor [C]."""
    depthwise = operation == SEPARATE
    value = factor.astype(np.float32)
    constant = constant_node(f"{norm.name}/factor", value.reshape(1, 1, -1, 1) if depthwise else value)
    scale = tf.compat.v1.NodeDef(name=f"{norm.name}/scaled", op=operation, input=[norm.input[0], constant.name])
    scale.attr["T"].CopyFrom(norm.attr["T"])
    if depthwise:
        scale.attr["strides"].list.i.extend([1, 1, 1, 1])
        scale.attr["padding"].s = b"VALID"
    return [constant, scale]


def strip_defaults(definition: Any) -> Any:
    """The graph as older releases read it: without attributes that hold their default, and without private ones.

    An attribute that came after TensorFlow 1.15 has a default that means what there was before.
    """
    stripped = tf.compat.v1.GraphDef()
    stripped.CopyFrom(definition)
    for node in stripped.node:
        known = {attribute.name: attribute for attribute in op_def_registry.get(node.op).attr}
        for name in list(node.attr):
            attribute = known.get(name)
            # As bytes: to messages, an empty list is not the same as an empty list that was parsed.
            if attribute is None or (
                attribute.HasField("default_value")
                and attribute.default_value.SerializeToString() == node.attr[name].SerializeToString()
            ):
                del node.attr[name]
    return stripped


def node_name(name: str) -> str:
    """The node of an input such as "^control" or "node:1"."""
    return name.lstrip("^").partition(":")[0]


def constant_value(node: Any) -> np.ndarray:
    """What a Const node holds."""
    return tf.make_ndarray(node.attr["value"].tensor)


def constant_node(name: str, value: np.ndarray) -> Any:
    """A Const node."""
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return node
