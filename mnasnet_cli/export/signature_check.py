"""The ways into an artifact besides preprocessed images: encoded ones and pixels, where preprocessing is inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from mnasnet_cli.data.preprocessing import preprocess_uint8
from mnasnet_cli.export import frozen_graph, saved_model
from mnasnet_cli.export.artifact import Written
from mnasnet_cli.export.parity import Outputs
from mnasnet_cli.export.sample_images import Samples
from mnasnet_cli.inference.outputs import CLASSIFIER_OUTPUTS, DETECTOR_OUTPUTS


def enter(
    form: str, written: Written, samples: Samples, encoded: Sequence[bytes]
) -> Iterator[tuple[Outputs, np.ndarray]]:
    """Runs an artifact on images through each of its other entrances, one by one, since their sizes differ.

    Yields:
      its outputs, and what the net's input should have been, float32 [1, S, S, 3].
    """
    if form == "saved-model":
        saved = tf.saved_model.load(str(written.path))
        for image, tensor in zip(encoded, samples.tensors(list(encoded)), strict=True):
            yield saved_model.run_signature(saved, saved_model.ENCODED, [image]), tensor[np.newaxis]
            pixels = _decode(image)
            yield saved_model.run_signature(saved, saved_model.PIXELS, pixels), _preprocess(pixels, samples)
    if form == "frozen":
        task = samples.loaded.task
        names = CLASSIFIER_OUTPUTS if task == "classification" else DETECTOR_OUTPUTS
        for image in encoded:
            pixels = _decode(image)
            found = frozen_graph.run_pixels(written.path, frozen_graph.IMAGE_INPUTS[task], pixels, names)
            yield found, _preprocess(pixels, samples)


def _decode(image: bytes) -> np.ndarray:
    """[1, H, W, 3] uint8."""
    return np.asarray(tf.io.decode_image(image, channels=3, expand_animations=False))[np.newaxis]


def _preprocess(pixels: np.ndarray, samples: Samples) -> np.ndarray:
    return np.asarray(preprocess_uint8(tf.constant(pixels), samples.loaded.preprocessing))
