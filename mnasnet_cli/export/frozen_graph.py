"""A frozen GraphDef for TensorFlow 1 programs, with the Object Detection API's names where it is a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.artifact import Written, describe
from mnasnet_cli.export.graph import build_graph, strip_defaults
from mnasnet_cli.inference.model import LoadedModel

FILE = "model.pb"
# Placeholders, uint8 [N, H, W, 3] of any size.
IMAGE_INPUTS = {"classification": "images", "detection": "image_tensor"}


def write_frozen(loaded: LoadedModel, folder: Path) -> Written:
    """Writes `model.pb`: no variables, batch norm folded, and nothing that TensorFlow 1.15 doesn't know."""
    graph = build_graph(loaded, IMAGE_INPUTS[loaded.task])
    path = folder / FILE
    path.write_bytes(strip_defaults(graph.definition).SerializeToString())
    return Written(path, {"inputs": describe(graph.inputs), "outputs": describe(graph.outputs)})


def run_pixels(path: Path, image_input: str, pixels: np.ndarray, outputs: Sequence[str]) -> dict[str, np.ndarray]:
    """The outputs for images uint8 [N, H, W, 3], from the file alone, in a session as TensorFlow 1 has them."""
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            found = session.run([f"{name}:0" for name in outputs], {f"{image_input}:0": pixels})
    return dict(zip(outputs, found, strict=True))
