"""A SavedModel that TensorFlow Serving takes as it is: a version folder, three signatures, warm-up requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.data.preprocessing import preprocess_encoded, preprocess_uint8
from mnasnet_cli.export.artifact import Written, describe
from mnasnet_cli.export.sample_images import generated_image
from mnasnet_cli.export.serving_warmup import write_warmup
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import classify, detect_boxes
from mnasnet_cli.system.native_output import suppress_output

VERSION = "1"  # Serving's: it loads the highest that it finds
ENCODED = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
PIXELS, TENSORS = "images", "tensors"  # names of the other two signatures
WARMUP_BATCHES = (1, 4)


class _Served(tf.Module):
    """The net as functions of encoded images, of pixels and of its own input, which others call by their names."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__()
        self.model = loaded.model  # its variables are saved with it
        self._loaded = loaded
        size = loaded.image_size
        inputs: dict[str, tuple[Callable[..., Any], tf.TensorSpec]] = {
            ENCODED: (self._encoded, tf.TensorSpec([None], tf.string, "image_bytes")),
            PIXELS: (self._pixels, tf.TensorSpec([None, None, None, 3], tf.uint8, "images")),
            TENSORS: (self._outputs, tf.TensorSpec([None, size, size, 3], tf.float32, "images")),
        }
        self.functions = {
            name: tf.function(function, autograph=False, input_signature=[spec])
            for name, (function, spec) in inputs.items()
        }

    def _encoded(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._outputs(preprocess_encoded(image_bytes, self._loaded.preprocessing))

    def _pixels(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._outputs(preprocess_uint8(images, self._loaded.preprocessing))

    def _outputs(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        options = self._loaded.postprocessing
        return classify(self.model, images) if options is None else detect_boxes(self.model, images, options)


def write_saved_model(loaded: LoadedModel, folder: Path) -> Written:
    """Writes `1/`, which needs nothing of this package to run."""
    served = _Served(loaded)
    path = folder / VERSION
    signatures = {name: function.get_concrete_function() for name, function in served.functions.items()}
    with suppress_output():
        tf.saved_model.save(served, str(path), signatures=signatures)
    write_warmup(path, ENCODED, "image_bytes", [generated_image(0, loaded.image_size)], WARMUP_BATCHES)
    described = {}
    for name, function in signatures.items():
        (spec,) = function.structured_input_signature[0]
        described[name] = {
            "inputs": describe({spec.name: spec}),
            "outputs": describe(function.structured_outputs),
        }
    return Written(path, described)


def run_signature(saved: Any, name: str, value: Any) -> dict[str, np.ndarray]:
    """The outputs of one signature of a loaded SavedModel for one batch."""
    signature = saved.signatures[name]
    (argument,) = signature.structured_input_signature[1]
    return {key: values.numpy() for key, values in signature(**{argument: tf.constant(value)}).items()}
