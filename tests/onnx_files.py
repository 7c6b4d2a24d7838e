"""ONNX classifiers as other programs write them: PyTorch's order of axes, no manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def write_foreign_onnx(
    path: Path,
    classes: int = 4,
    shape: tuple[Any, ...] = ("N", 3, 32, 32),
    *,
    softmax: bool = False,
) -> np.ndarray:
    """Writes mean over the pixels · kernel, and returns the kernel [3, classes]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.random.default_rng(1).normal(size=(3, classes)).astype(np.float32)
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["colours"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["colours", "kernel"], ["scores" if softmax else "output"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["output"], axis=1))
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return kernel
