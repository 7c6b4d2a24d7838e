"""Runs TensorFlow graphs that were saved: a SavedModel, or a frozen GraphDef."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.errors import CheckpointError, first_line
from mnasnet_cli.inference.base import BaseRunner, limit_tensorflow, size_of, with_whole_numbers
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.inference.outputs import DETECTOR_OUTPUTS

TENSORS = "tensors"  # the signature of a SavedModel, and the tensor of a graph, that takes preprocessed images


class FunctionRunner(BaseRunner):
    """A function of preprocessed images that gives tensors by name."""

    _function: Callable[[tf.Tensor], dict[str, tf.Tensor]]

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = {name: values.numpy() for name, values in self._function(tf.constant(images)).items()}
        outputs.pop("probabilities", None)
        return outputs

    def repeated(self, images: np.ndarray) -> Callable[[], None]:
        tensor = tf.constant(images)

        def call() -> None:
            for values in self._function(tensor).values():
                values.numpy()

        return call


class SavedModelRunner(FunctionRunner):
    """A SavedModel, through its signature for preprocessed images."""

    def __init__(self, folder: Path, manifest: Manifest, *, threads: int | None = None) -> None:
        limit_tensorflow(threads)
        super().__init__(manifest, size_of(folder))
        try:
            loaded = tf.saved_model.load(str(folder))
            signature = loaded.signatures[TENSORS]
            (name,) = signature.structured_input_signature[1]
        except Exception as error:  # TensorFlow raises nearly anything for damaged files
            raise CheckpointError(f"{folder} is not a whole SavedModel of this toolkit: {first_line(error)}") from error
        self._loaded = loaded  # the variables live as long as it does
        self._function = lambda images: signature(**{name: images})


class FrozenRunner(BaseRunner):
    """A frozen graph, fed behind its preprocessing, in a session of its own."""

    def __init__(self, path: Path, manifest: Manifest, *, threads: int | None = None) -> None:
        super().__init__(manifest, size_of(path))
        definition = tf.compat.v1.GraphDef()
        graph = tf.Graph()
        self._names = DETECTOR_OUTPUTS if manifest.task == "detection" else ("logits",)
        # Threads of its own, or it would take those of the first session of the process.
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=threads or 0, inter_op_parallelism_threads=1, use_per_session_threads=True
        )
        try:
            definition.ParseFromString(path.read_bytes())
            with graph.as_default():
                tf.import_graph_def(definition, name="")
            fetches = [graph.get_tensor_by_name(f"{name}:0") for name in self._names]
            self._session = tf.compat.v1.Session(graph=graph, config=config)
            feed = graph.get_tensor_by_name(f"{TENSORS}:0")
            self._run = self._session.make_callable(fetches, feed_list=[feed])
        except Exception as error:  # protobuf and TensorFlow have many kinds for damaged files
            raise CheckpointError(f"{path} is not a whole frozen graph of this toolkit: {first_line(error)}") from error

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return with_whole_numbers(dict(zip(self._names, self._run(images), strict=True)))
