"""Calibration: which images are chosen, and int8 files of nets with a dead squeeze-excite."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.parity import compare
from mnasnet_cli.export.sample_images import SampleImages, in_batches
from mnasnet_cli.export.tflite.converter import write_tflite
from mnasnet_cli.export.tflite.int8 import measure_activations, without_outliers, write_tflite_int8
from mnasnet_cli.inference.manifest import read_manifest
from mnasnet_cli.inference.model import load_model, with_weights
from mnasnet_cli.inference.tflite import TfliteRunner


@pytest.fixture
def loaded(made_classifier):
    return load_model(find_checkpoint(str(made_classifier)))


def test_images_with_the_largest_activations_are_left_out():
    peaks = np.tile([1.0, 10.0, 0.1], (20, 1))
    peaks[3, 2] = 5.0  # 50 times the median of a layer with small values
    peaks[8, 1] = 30.0
    peaks[9, 0] = 1.5  # the third largest, but only a tenth of the images is left out
    assert np.flatnonzero(~without_outliers(peaks)).tolist() == [3, 8]


def test_few_images_are_all_kept():
    assert without_outliers(np.array([[1.0], [100.0]])).all()


def test_peaks_cover_every_layer(loaded):
    images = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)
    images[1] *= 100
    peaks = measure_activations(loaded, in_batches(images, 2)).peaks
    assert peaks.shape[0] == 3
    assert peaks.shape[1] > 12  # a batch norm and mostly a ReLU for each of 7 convolutions, squeeze-excite, a sum
    assert (peaks[1] > peaks[0]).mean() > 0.9


def test_a_net_with_a_dead_squeeze_excite_runs_with_xnnpack(loaded, shape_records, tmp_path, capsys):
    scope = next(name for name in sorted(loaded.contents.weights) if name.endswith("excitation_reduce/biases"))
    units = len(loaded.contents.weights[scope])
    dead = with_weights(loaded, {scope: -50.0 * (1 + np.arange(units, dtype=np.float32))})
    samples = SampleImages(dead, shape_records)
    artifact = write_tflite_int8(dead, tmp_path, samples, 12)
    assert len(artifact.notes) == 1
    manifest = dataclasses.replace(dead.manifest("tflite-int8"), notes=artifact.notes)
    manifest.write(tmp_path)
    assert read_manifest(artifact.path).notes == artifact.notes
    tensors = np.stack(list(samples.preprocess(samples.parity_images(8))))
    expected = {"logits": dead.model(tf.constant(tensors), is_training=False).numpy()}
    outputs = TfliteRunner(artifact.path, manifest).predict_tensors(tensors)
    assert compare(outputs, expected, "tflite-int8").fault("tflite-int8", "classification") == ""
    assert capsys.readouterr().err == ""

    # Without the repair, as files of other programs may be:
    unrepaired = write_tflite(dead, tmp_path, lambda: iter(tensors))
    TfliteRunner(unrepaired.path, manifest).predict_tensors(tensors)
    assert "without XNNPACK" in capsys.readouterr().err
