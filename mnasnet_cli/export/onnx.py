"""An ONNX file, for ONNX Runtime and what reads its format."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import EnvironmentProblem
from mnasnet_cli.export.artifact import Written, describe
from mnasnet_cli.export.graph import SEPARATE, Graph, build_graph
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.system.native_output import suppress_output
from mnasnet_cli.system.optional_packages import install_command

FILE = "model.onnx"
OPSET = 17  # ONNX 1.12 of 2022: what runtimes of the last years read


def check_converter() -> None:
    """Raises EnvironmentProblem where a library is missing: before work is done in vain."""
    for name in ("tf2onnx", "onnxruntime"):
        try:
            with suppress_output():
                importlib.import_module(name)
        except ImportError as error:
            raise EnvironmentProblem(
                f"the format onnx needs {name}, which is not installed ({error}); run `{install_command('onnx')}`, or "
                "leave this format out"
            ) from error


def write_onnx(loaded: LoadedModel, folder: Path) -> Written:
    """Writes `model.onnx`: from preprocessed images to the outputs, boxes included; any number of images."""
    graph = build_graph(loaded, None, scaling=SEPARATE)
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
    path.write_bytes(model.SerializeToString())
    signature = {"inputs": describe(graph.inputs), "outputs": describe(graph.outputs)}
    return Written(path, signature, versions={"tf2onnx": tf2onnx.__version__, "opset": str(OPSET)})


def _rename(model: Any, graph: Graph) -> None:
    """Takes TensorFlow's ":0" off the names of inputs and outputs."""
    names = {f"{name}:0": name for name in [*graph.inputs, *graph.outputs]}
    for item in [*model.graph.input, *model.graph.output]:
        item.name = names.get(item.name, item.name)
    for node in model.graph.node:
        for side in (node.input, node.output):
            for index, name in enumerate(side):
                side[index] = names.get(name, name)
