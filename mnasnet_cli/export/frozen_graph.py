"""Writes frozen GraphDefs for TensorFlow 1 programs, with the Object Detection API's names for detectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.artifact import Artifact, describe_tensors
from mnasnet_cli.export.graph import build_graph, strip_defaults
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.system.files import write_atomically

FILE = "model.pb"
IMAGE_INPUTS = {"classification": "images", "detection": "image_tensor"}
"""Names of the placeholders for images, uint8 [N, H, W, 3] of any size."""


def write_frozen_graph(loaded: LoadedModel, folder: Path) -> Artifact:
    """Write `model.pb`: no variables, batch norms folded, and only what TensorFlow 1.15 can read."""
    graph = build_graph(loaded, IMAGE_INPUTS[loaded.task])
    path = folder / FILE
    write_atomically(path, strip_defaults(graph.definition).SerializeToString(deterministic=True))
    return Artifact(path, {"inputs": describe_tensors(graph.inputs), "outputs": describe_tensors(graph.outputs)})


def run_frozen_graph(path: Path, image_input: str, images: np.ndarray, outputs: Sequence[str]) -> dict[str, np.ndarray]:
    """Run the file on images uint8 [N, H, W, 3] in a TensorFlow 1 session, and return the named outputs."""
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            values = session.run([f"{name}:0" for name in outputs], {f"{image_input}:0": images})
    return dict(zip(outputs, values, strict=True))
