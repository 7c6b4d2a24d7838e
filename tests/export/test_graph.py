"""Graphs for converters: folded batch norms and shared kernels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export import graph as graphs
from mnasnet_cli.export.graph import DEPTHWISE, MULTIPLY, build_graph, fold_batch_norms, strip_defaults
from mnasnet_cli.export.onnx import write_onnx
from mnasnet_cli.export.tflite.converter import write_tflite
from mnasnet_cli.inference.model import load_model


@pytest.mark.parametrize("scaling", [MULTIPLY, DEPTHWISE])
def test_shared_kernels_are_stored_once(made_detector, scaling, monkeypatch):
    monkeypatch.setattr(graphs, "MIN_SHARED_BYTES", 0)
    graph = build_graph(load_model(find_checkpoint(str(made_detector))), None, heads=True, scaling=scaling)
    assert not [node.name for node in graph.definition.node if node.op == "FusedBatchNormV3"]
    scaled = [node for node in graph.definition.node if node.name.endswith("/scaled")]
    assert len(scaled) == 4  # two subnets with one layer each, two levels
    assert all("PredictionTower" in node.name and node.op == scaling for node in scaled)
    kernels = [node.name for node in graph.definition.node if node.op == "Const" and "Tower" in node.name]
    assert sum(name.endswith("weights") and "BatchNorm" not in name for name in kernels) == 4  # depthwise and 1×1


def test_converters_leave_large_shared_kernels_shared(made_detector, tmp_path, monkeypatch):
    import onnx
    from ai_edge_litert.interpreter import Interpreter

    monkeypatch.setattr(graphs, "MIN_SHARED_BYTES", 0)
    loaded = load_model(find_checkpoint(str(made_detector)))
    interpreter = Interpreter(model_path=str(write_tflite(loaded, tmp_path, None).path))
    shapes = {item["index"]: item["shape"].tolist() for item in interpreter.get_tensor_details()}
    kernels = [shapes[op["inputs"][1]] for op in interpreter._get_ops_details() if op["op_name"] == "DEPTHWISE_CONV_2D"]
    assert sum(shape[1:3] == [1, 1] for shape in kernels) == 4
    graph = onnx.load(str(write_onnx(loaded, tmp_path).path)).graph
    sizes = {item.name: list(item.dims) for item in graph.initializer}
    kernels = [sizes[node.input[1]] for node in graph.node if node.op_type == "Conv"]
    assert sum(shape[1:] == [1, 1, 1] for shape in kernels) == 4


def test_small_shared_kernels_are_copied(made_detector):
    graph = build_graph(load_model(find_checkpoint(str(made_detector))), None, heads=True, scaling=DEPTHWISE)
    assert {node.op for node in graph.definition.node if node.name.endswith("/scaled")} == {MULTIPLY}


def test_folding_by_hand():
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [1, 1, 1, 2], name="x")
        kernel = tf.constant([[[[1.0], [2.0]]]], name="kernel")  # depthwise [1, 1, 2, 1]
        net = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")
        net, _, _ = tf.compat.v1.nn.fused_batch_norm(
            net, [3.0, 1.0], [0.5, 0.0], mean=[1.0, 0.0], variance=[3.0, 0.0], epsilon=1.0, is_training=False
        )
        tf.identity(net, name="y")
    folded = strip_defaults(fold_batch_norms(graph.as_graph_def()))
    values = {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in folded.node if node.op == "Const"}
    # γ / √(σ² + ε) = 3 / 2 and 1 / 1; β - μ f = 0.5 - 1.5 and 0
    np.testing.assert_allclose(values["kernel"].ravel(), [1.5, 2.0])
    (bias,) = (value for name, value in values.items() if name.endswith("/bias"))
    np.testing.assert_allclose(bias, [-1.0, 0.0])
