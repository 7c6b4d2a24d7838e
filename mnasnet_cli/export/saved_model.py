"""Writes SavedModels that TensorFlow Serving can load: a version folder, three signatures and warm-up requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.data.preprocessing import preprocess_encoded, preprocess_uint8
from mnasnet_cli.export.artifact import Artifact, describe_tensors
from mnasnet_cli.export.sample_images import generated_image
from mnasnet_cli.export.serving_warmup import write_warmup
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import classify, detect_boxes
from mnasnet_cli.system.native_output import suppress_output
from mnasnet_cli.system.plain_paths import plain_folder

VERSION = "1"  # TensorFlow Serving loads the highest version that it finds
ENCODED = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
PIXELS, TENSORS = "images", "tensors"  # names of the other two signatures
WARMUP_BATCH_SIZES = (1, 4)


class _ServedModel(tf.Module):
    """A net as functions of encoded images, of pixels and of the net's input, by the names of their signatures.

    The first two call the third, so that the net is built, and stored, once.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__()
        self.model = loaded.model  # an attribute, so that its variables are saved
        self._loaded = loaded
        size = loaded.image_size
        inputs: dict[str, tuple[Callable[..., Any], tf.TensorSpec]] = {
            ENCODED: (self._from_encoded, tf.TensorSpec([None], tf.string, "image_bytes")),
            PIXELS: (self._from_pixels, tf.TensorSpec([None, None, None, 3], tf.uint8, "images")),
            TENSORS: (self._from_tensors, tf.TensorSpec([None, size, size, 3], tf.float32, "images")),
        }
        self.functions = {
            name: tf.function(function, autograph=False, input_signature=[spec])
            for name, (function, spec) in inputs.items()
        }

    def _from_encoded(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.functions[TENSORS](preprocess_encoded(image_bytes, self._loaded.preprocessing))

    def _from_pixels(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.functions[TENSORS](preprocess_uint8(images, self._loaded.preprocessing))

    def _from_tensors(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        options = self._loaded.postprocessing
        return classify(self.model, images) if options is None else detect_boxes(self.model, images, options)


def write_saved_model(loaded: LoadedModel, folder: Path) -> Artifact:
    """Write the SavedModel `1/`, which runs without this package."""
    served = _ServedModel(loaded)
    path = folder / VERSION
    functions = {name: function.get_concrete_function() for name, function in served.functions.items()}
    with suppress_output(), plain_folder(folder) as plain:
        tf.saved_model.save(served, str(plain / VERSION), signatures=functions)
    write_warmup(path, ENCODED, "image_bytes", [generated_image(0, loaded.image_size)], WARMUP_BATCH_SIZES)
    signatures = {}
    for name, function in functions.items():
        (spec,) = function.structured_input_signature[0]
        signatures[name] = {
            "inputs": describe_tensors({spec.name: spec}),
            "outputs": describe_tensors(function.structured_outputs),
        }
    return Artifact(path, signatures)


def run_signature(saved: Any, name: str, value: Any) -> dict[str, np.ndarray]:
    """Run one signature of a loaded SavedModel on a batch."""
    signature = saved.signatures[name]
    (argument,) = signature.structured_input_signature[1]
    return {key: values.numpy() for key, values in signature(**{argument: tf.constant(value)}).items()}
