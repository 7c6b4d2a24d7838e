"""Which images integers are calibrated on."""

from __future__ import annotations

import numpy as np

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.tflite.calibration import calm_images, in_batches, observe
from mnasnet_cli.inference.model import load_model


def test_images_on_which_a_layer_explodes_are_left_out():
    peaks = np.tile([1.0, 10.0, 0.1], (20, 1))
    peaks[3, 2] = 5.0  # 50 times the layer's median, though small
    peaks[8, 1] = 30.0
    peaks[9, 0] = 1.5  # the third largest: a tenth of the images are left out, no more
    assert np.flatnonzero(~calm_images(peaks)).tolist() == [3, 8]


def test_few_images_are_all_kept():
    assert calm_images(np.array([[1.0], [100.0]])).all()


def test_peaks_are_those_of_every_layer(made_classifier):
    loaded = load_model(find_checkpoint(str(made_classifier)))
    images = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)
    images[1] *= 100
    peaks = observe(loaded, in_batches(images, 2)).peaks
    assert peaks.shape[0] == 3
    assert peaks.shape[1] > 15  # a batch norm and mostly a ReLU for each of 9 convolutions, squeezes, a sum
    assert (peaks[1] > peaks[0]).mean() > 0.9


def test_batches_are_smaller_for_larger_images():
    def sizes(side):
        return [len(batch) for batch in in_batches(np.zeros((10, side, side, 1), np.float32))]

    assert sizes(224) == [8, 2]
    assert sizes(320) == [3, 3, 3, 1]
    assert sizes(1024) == [1] * 10
