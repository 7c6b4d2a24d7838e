"""Images to try a model on: real ones, taken evenly, or generated ones."""

from __future__ import annotations

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.sample_images import Samples, generated_image
from mnasnet_cli.inference.model import load_model


def test_calibration_takes_each_class_alike(made_classifier, shape_records):
    samples = Samples(load_model(find_checkpoint(str(made_classifier))), shape_records)
    images = samples.calibration_images(8)
    assert len(set(images)) == 8
    everything = list(samples._read("train", 96))
    labels = dict(everything)
    assert sorted(labels[image] for image in images) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_generated_images_are_always_the_same():
    assert generated_image(1, 32) == generated_image(1, 32) != generated_image(2, 32)
