"""Runs artifacts through their inputs that include preprocessing: encoded images and pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from mnasnet_cli.data.decoding import decode_whole
from mnasnet_cli.data.preprocessing import preprocess_encoded, preprocess_uint8
from mnasnet_cli.export import frozen_graph, saved_model
from mnasnet_cli.export.artifact import Artifact
from mnasnet_cli.export.parity import Outputs
from mnasnet_cli.export.sample_images import SampleImages
from mnasnet_cli.inference.outputs import CLASSIFIER_OUTPUTS, DETECTOR_OUTPUTS
from mnasnet_cli.system.plain_paths import plain_folder


def run_image_inputs(
    format: str, artifact: Artifact, samples: SampleImages, images: Sequence[bytes]
) -> Iterator[tuple[Outputs, np.ndarray]]:
    """Run a SavedModel or a frozen graph on encoded images, one by one. Other formats have no such input.

    Yields:
      the outputs, and the net's input that preprocessing should have given, float32 [1, S, S, 3].
    """
    if format == "saved-model":
        with plain_folder(artifact.path) as plain:
            saved = tf.saved_model.load(str(plain))
        for image in images:
            tensors = preprocess_encoded(tf.constant([image]), samples.loaded.preprocessing)
            yield saved_model.run_signature(saved, saved_model.ENCODED, [image]), np.asarray(tensors)
            pixels = _decode(image)
            yield saved_model.run_signature(saved, saved_model.PIXELS, pixels), _preprocess(pixels, samples)
    if format == "frozen":
        task = samples.loaded.task
        names = CLASSIFIER_OUTPUTS if task == "classification" else DETECTOR_OUTPUTS
        for image in images:
            pixels = _decode(image)
            outputs = frozen_graph.run_frozen_graph(artifact.path, frozen_graph.IMAGE_INPUTS[task], pixels, names)
            yield outputs, _preprocess(pixels, samples)


def _decode(image: bytes) -> np.ndarray:
    """Return a batch of one image, uint8 [1, H, W, 3]."""
    return np.asarray(decode_whole(tf.constant(image)))[np.newaxis]


def _preprocess(pixels: np.ndarray, samples: SampleImages) -> np.ndarray:
    return np.asarray(preprocess_uint8(tf.constant(pixels), samples.loaded.preprocessing))
