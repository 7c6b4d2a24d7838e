"""Writes ONNX files."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import EnvironmentProblem
from mnasnet_cli.export.artifact import Artifact, describe_tensors
from mnasnet_cli.export.graph import DEPTHWISE, Graph, build_graph
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.system.files import write_atomically
from mnasnet_cli.system.native_output import suppress_output
from mnasnet_cli.system.optional_packages import install_command

FILE = "model.onnx"
OPSET = 17  # of ONNX 1.12 (2022), which current runtimes read


def check_converter() -> None:
    """Raise EnvironmentProblem if a library that this format needs is missing."""
    for name in ("tf2onnx", "onnxruntime"):
        try:
            with suppress_output():
                importlib.import_module(name)
        except ImportError as error:
            raise EnvironmentProblem(
                f"the format onnx needs {name}, which is not installed ({error}); run `{install_command('onnx')}`, or "
                "leave this format out"
            ) from error


def write_onnx(loaded: LoadedModel, folder: Path) -> Artifact:
    """Write `model.onnx`, from preprocessed images to logits or boxes, for any number of images."""
    graph = build_graph(loaded, None, scaling=DEPTHWISE)
    path = folder / FILE
    with suppress_output():
        import tf2onnx

        model, _ = tf2onnx.convert.from_graph_def(
            graph.definition,
            name=f"mnasnet-{loaded.config.model.variant}",
            input_names=[f"{name}:0" for name in graph.inputs],
            output_names=[f"{name}:0" for name in graph.outputs],
            opset=OPSET,
        )
    _rename(model, graph)
    write_atomically(path, model.SerializeToString(deterministic=True))
    signature = {"inputs": describe_tensors(graph.inputs), "outputs": describe_tensors(graph.outputs)}
    return Artifact(path, signature, versions={"tf2onnx": tf2onnx.__version__, "opset": str(OPSET)})


def _rename(model: Any, graph: Graph) -> None:
    """Remove TensorFlow's ":0" from the names of inputs and outputs."""
    names = {f"{name}:0": name for name in [*graph.inputs, *graph.outputs]}
    for item in [*model.graph.input, *model.graph.output]:
        item.name = names.get(item.name, item.name)
    for node in model.graph.node:
        for side in (node.input, node.output):
            for index, name in enumerate(side):
                side[index] = names.get(name, name)
