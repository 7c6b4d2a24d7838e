"""The inputs of artifacts that include preprocessing."""

from __future__ import annotations

import numpy as np
import pytest

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.artifact import Artifact
from mnasnet_cli.export.sample_images import SampleImages
from mnasnet_cli.export.signature_check import run_image_inputs
from mnasnet_cli.inference.checkpoint import CheckpointRunner


@pytest.fixture
def runner(made_classifier):
    return CheckpointRunner(find_checkpoint(str(made_classifier)))


@pytest.mark.parametrize(
    ("format", "path", "inputs"),
    [("saved-model", "1", 2), ("frozen", "model.pb", 1), ("tflite", "model.tflite", 0)],
)
def test_each_image_goes_through_each_image_input(runner, exported_classifier, format, path, inputs):
    samples = SampleImages(runner.loaded, None)
    images = samples.parity_images(2)
    artifact = Artifact(exported_classifier / format / path)
    results = list(run_image_inputs(format, artifact, samples, images))
    assert len(results) == inputs * len(images)
    for outputs, tensors in results:
        assert tensors.shape == (1, 32, 32, 3)
        expected = runner.predict_tensors(tensors)
        np.testing.assert_allclose(outputs["logits"], expected["logits"], atol=1e-4)


def test_preprocessing_that_differs_shows(runner, made_detector, exported_classifier):
    """The tensors come from the samples' model, so a file with other preprocessing gives other outputs."""
    other = SampleImages(CheckpointRunner(find_checkpoint(str(made_detector)), image_size=32).loaded, None)
    artifact = Artifact(exported_classifier / "saved-model" / "1")
    (outputs, tensors), _ = run_image_inputs("saved-model", artifact, other, other.parity_images(1))
    assert np.abs(outputs["logits"] - runner.predict_tensors(tensors)["logits"]).max() > 1e-3
