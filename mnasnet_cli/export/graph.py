"""Builds a model as a TensorFlow 1 graph: weights as constants under slim's names, batch norms folded."""

from __future__ import annotations

import contextlib
from collections import Counter
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

# Operations that scale each channel by a factor. Converters fold a multiplication into the kernel before it. They don't
# fold a 1×1 depthwise convolution, and TFLite and ONNX Runtime compute it as fast.
MULTIPLY, DEPTHWISE = "Mul", "DepthwiseConv2dNative"
# Shared kernels from this size on stay shared. Converters copy smaller ones, which saves an operation per use. Copies
# of the lite family's kernels take 0.6 MB and save 3 % of the time at 320 px; those of RetinaNet's take 76 MB and save
# nothing.
MIN_SHARED_BYTES = 2**18


@dataclass(frozen=True)
class Graph:
    """A GraphDef with its inputs and outputs: name → tensor, for dtypes and shapes."""

    definition: Any
    inputs: Mapping[str, tf.Tensor]
    outputs: Mapping[str, tf.Tensor]


def build_graph(loaded: LoadedModel, image_input: str | None, *, heads: bool = False, scaling: str = MULTIPLY) -> Graph:
    """Build the graph of a model in inference mode.

    Args:
      image_input: name of the input, uint8 [N, H, W, 3] of any size. The preprocessed images are then the tensor
        TENSORS, which programs may feed instead. None: TENSORS is the input.
      heads: whether a detector ends with its raw outputs instead of boxes.
      scaling: see `fold_batch_norms`.
    """
    size = loaded.image_size
    graph = tf.Graph()
    with tf1_graph(graph):
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
            # The Object Detection API returns all outputs as floats.
            found = {name: tf.cast(values, tf.float32) for name, values in found.items()}
        outputs = {name: tf.identity(values, name=name) for name, values in found.items()}
    definition = fold_batch_norms(_prune(graph.as_graph_def(), outputs), scaling)
    return Graph(_prune(definition, outputs), inputs, outputs)


@contextlib.contextmanager
def tf1_graph(graph: tf.Graph) -> Iterator[None]:
    """Make `graph` the default, with TensorFlow 1's control flow: some old programs can't read loops as functions."""
    before = tf.compat.v1.control_flow_v2_enabled()
    tf.compat.v1.disable_control_flow_v2()
    try:
        with graph.as_default():
            yield
    finally:
        if before:
            tf.compat.v1.enable_control_flow_v2()


def _prune(definition: Any, outputs: Mapping[str, Any]) -> Any:
    """Keep the nodes that the outputs need."""
    return tf.compat.v1.graph_util.extract_sub_graph(definition, list(outputs))


_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_BATCH_NORM = "FusedBatchNormV3"


def fold_batch_norms(definition: Any, scaling: str = MULTIPLY) -> Any:
    """Fold each batch norm into the convolution before it, as a scaled kernel and a bias.

        γ (w ∗ x - μ) / √(σ² + ε) + β  =  (w · f) ∗ x + (β - μ f)    with f = γ / √(σ² + ε)

    RetinaNet's subnets share their kernels across levels, but each level has batch norm statistics of its own. A shared
    kernel stays as it is, because folding would store it once per level. Its output is multiplied by f instead.

    Args:
      scaling: the operation of that multiplication, MULTIPLY or DEPTHWISE. Kernels of fewer than MIN_SHARED_BYTES
        always take MULTIPLY.
    """
    nodes = {node.name: node for node in definition.node}
    uses = Counter(node_name(name) for node in definition.node for name in node.input)
    changed: dict[str, list[Any]] = {}
    for norm in definition.node:
        if norm.op != _BATCH_NORM or norm.attr["is_training"].b:
            continue
        convolution = nodes[node_name(norm.input[0])]
        statistics = [nodes[node_name(name)] for name in norm.input[1:5]]
        if convolution.op not in _CONVOLUTIONS or any(node.op != "Const" for node in statistics):
            continue
        gamma, beta, mean, variance = (constant_value(node).astype(np.float64) for node in statistics)
        factor = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
        kernel = nodes[node_name(convolution.input[1])]
        if kernel.op != "Const" or uses[kernel.name] > 1 or uses[convolution.name] > 1:
            small = kernel.op == "Const" and constant_value(kernel).nbytes < MIN_SHARED_BYTES
            scale = _scale_channels(norm, factor, MULTIPLY if small else scaling)
        else:
            weights = constant_value(kernel)
            # A depthwise kernel is [k, k, C, 1], a full one [k, k, inputs, C].
            factors = factor[:, np.newaxis] if convolution.op == "DepthwiseConv2dNative" else factor
            changed[kernel.name] = [constant_node(kernel.name, (weights * factors).astype(weights.dtype))]
            scale = []
        bias = constant_node(f"{norm.name}/bias", (beta - mean * factor).astype(np.float32))
        source = scale[-1].name if scale else norm.input[0]
        add = tf.compat.v1.NodeDef(name=norm.name, op="BiasAdd", input=[source, bias.name])
        add.attr["T"].CopyFrom(norm.attr["T"])
        changed[norm.name] = [*scale, bias, add]
    folded = tf.compat.v1.GraphDef(versions=definition.versions)
    for node in definition.node:
        folded.node.extend(changed.get(node.name, [node]))
    return folded


def _scale_channels(norm: Any, factor: np.ndarray, operation: str) -> list[Any]:
    """Return the nodes that multiply the input [N, H, W, C] of a batch norm by a factor [C]."""
    depthwise = operation == DEPTHWISE
    value = factor.astype(np.float32)
    constant = constant_node(f"{norm.name}/factor", value.reshape(1, 1, -1, 1) if depthwise else value)
    scale = tf.compat.v1.NodeDef(name=f"{norm.name}/scaled", op=operation, input=[norm.input[0], constant.name])
    scale.attr["T"].CopyFrom(norm.attr["T"])
    if depthwise:
        scale.attr["strides"].list.i.extend([1, 1, 1, 1])
        scale.attr["padding"].s = b"VALID"
    return [constant, scale]


def strip_defaults(definition: Any) -> Any:
    """Return the graph without private attributes and without attributes that hold their default.

    Older releases don't know attributes that came after them. The default of such an attribute means the old behaviour.
    """
    stripped = tf.compat.v1.GraphDef()
    stripped.CopyFrom(definition)
    for node in stripped.node:
        known = {attribute.name: attribute for attribute in op_def_registry.get(node.op).attr}
        for name in list(node.attr):
            attribute = known.get(name)
            # Compared as bytes: as messages, an empty list differs from an empty list that was parsed.
            if attribute is None or (
                attribute.HasField("default_value")
                and attribute.default_value.SerializeToString() == node.attr[name].SerializeToString()
            ):
                del node.attr[name]
    return stripped


def node_name(name: str) -> str:
    """Return the name of the node in an input such as "^control" or "node:1"."""
    return name.lstrip("^").partition(":")[0]


def constant_value(node: Any) -> np.ndarray:
    """Return the value of a Const node."""
    return tf.make_ndarray(node.attr["value"].tensor)


def constant_node(name: str, value: np.ndarray) -> Any:
    """Make a Const node."""
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return node
