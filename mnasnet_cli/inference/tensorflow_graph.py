"""Runs a SavedModel or a frozen GraphDef with TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.errors import CheckpointError, first_line
from mnasnet_cli.inference.base import BaseRunner, limit_threads, size_in_bytes, with_integer_classes
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.inference.outputs import DETECTOR_OUTPUTS
from mnasnet_cli.system.plain_paths import plain_folder

TENSORS = "tensors"  # the signature of a SavedModel, and the input of a frozen graph, for preprocessed images


class FunctionRunner(BaseRunner):
    """A function from preprocessed images to tensors by name."""

    _function: Callable[[tf.Tensor], dict[str, tf.Tensor]]

    @property
    def function(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """The net as a part of another graph: from images float32 [N, S, S, 3] to tensors by name."""
        return self._function

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = {name: values.numpy() for name, values in self._function(tf.constant(images)).items()}
        outputs.pop("probabilities", None)
        return outputs

    def inference_call(self, images: np.ndarray) -> Callable[[], None]:
        tensor = tf.constant(images)

        def call() -> None:
            for values in self._function(tensor).values():
                values.numpy()

        return call


class SavedModelRunner(FunctionRunner):
    """A SavedModel, through its signature for preprocessed images."""

    def __init__(self, folder: Path, manifest: Manifest, *, threads: int | None = None) -> None:
        limit_threads(threads)
        super().__init__(manifest, size_in_bytes(folder))
        try:
            with plain_folder(folder) as plain:
                loaded = tf.saved_model.load(str(plain))
            (name,) = loaded.signatures[TENSORS].structured_input_signature[1]
        except Exception as error:  # TensorFlow raises many types for damaged files
            raise CheckpointError(f"{folder} is not a whole SavedModel of this toolkit: {first_line(error)}") from error
        # `loaded` keeps the variables alive, wherever the function goes.
        self._function = lambda images: loaded.signatures[TENSORS](**{name: images})


class FrozenRunner(BaseRunner):
    """A frozen graph in its own session, fed with preprocessed images."""

    def __init__(self, path: Path, manifest: Manifest, *, threads: int | None = None) -> None:
        super().__init__(manifest, size_in_bytes(path))
        graph = tf.Graph()
        self._names = DETECTOR_OUTPUTS if manifest.task == "detection" else ("logits",)
        # Otherwise the session shares the thread pool of the first session in the process.
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=threads or 0, inter_op_parallelism_threads=1, use_per_session_threads=True
        )
        try:
            self._definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
            with graph.as_default():
                tf.import_graph_def(self._definition, name="")
            fetches = [graph.get_tensor_by_name(f"{name}:0") for name in self._names]
            self._session = tf.compat.v1.Session(graph=graph, config=config)
            feed = graph.get_tensor_by_name(f"{TENSORS}:0")
            self._run = self._session.make_callable(fetches, feed_list=[feed])
        except Exception as error:  # protobuf and TensorFlow raise many types for damaged files
            raise CheckpointError(f"{path} is not a whole frozen graph of this toolkit: {first_line(error)}") from error

    @property
    def function(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """See `FunctionRunner`."""
        whole = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(self._definition, name=""), [])
        fetches = {name: f"{name}:0" for name in self._names}
        pruned: Callable[[tf.Tensor], dict[str, tf.Tensor]] = whole.prune(f"{TENSORS}:0", fetches)
        return pruned

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return with_integer_classes(dict(zip(self._names, self._run(images), strict=True)))
