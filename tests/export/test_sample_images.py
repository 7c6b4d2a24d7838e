"""Images for the comparison and for calibration."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.errors import DataError
from mnasnet_cli.export.sample_images import SampleImages, generated_image, in_batches
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.records.keys import ENCODED, LABEL
from mnasnet_cli.records.shards import find_shards


@pytest.fixture
def loaded(made_classifier):
    return load_model(find_checkpoint(str(made_classifier)))


def _labels(records, split):
    """The label of each encoded image."""
    keys = {ENCODED: tf.io.FixedLenFeature([], tf.string), LABEL: tf.io.FixedLenFeature([], tf.int64)}
    shards = [str(path) for path in find_shards(records, split)]
    examples = [tf.io.parse_single_example(record, keys) for record in tf.data.TFRecordDataset(shards)]
    return {example[ENCODED].numpy(): int(example[LABEL]) for example in examples}


def test_calibration_images_are_spread_over_the_classes(loaded, shape_records):
    images = SampleImages(loaded, shape_records).calibration_images(8)
    assert len(set(images)) == 8
    labels = _labels(shape_records, "train")
    assert sorted(labels[image] for image in images) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_there_are_no_more_calibration_images_than_records(loaded, shape_records):
    assert len(SampleImages(loaded, shape_records).calibration_images(200)) == 96


def test_parity_images_come_from_the_validation_split(loaded, shape_records):
    samples = SampleImages(loaded, shape_records)
    images = samples.parity_images(6)
    assert len(set(images)) == 6
    assert set(images) <= set(_labels(shape_records, "validation"))
    assert samples.describe_parity_images(6) == f"6 images of {shape_records}"


def test_without_records_images_are_generated(loaded):
    samples = SampleImages(loaded, None)
    images = samples.parity_images(3)
    assert images == [generated_image(number, 32) for number in range(3)]
    assert "generated" in samples.describe_parity_images(3)
    with pytest.raises(DataError, match="prepare-imagenet"):
        samples.calibration_images(1)


def test_records_of_another_task_are_an_error(loaded, scene_records):
    with pytest.raises(DataError, match="coco"):
        SampleImages(loaded, scene_records)


def test_images_are_preprocessed_as_by_the_model(loaded):
    samples = SampleImages(loaded, None)
    (tensor,) = samples.preprocess(samples.parity_images(1))
    assert (tensor.shape, tensor.dtype) == ((32, 32, 3), np.float32)
    assert -3 < tensor.min() < tensor.max() < 3  # normalized


def test_batches_are_smaller_for_larger_images():
    def sizes(side):
        return [len(batch) for batch in in_batches(np.zeros((10, side, side, 1), np.float32))]

    assert sizes(224) == [8, 2]
    assert sizes(320) == [3, 3, 3, 1]
    assert sizes(1024) == [1] * 10
    assert [len(batch) for batch in in_batches(np.zeros((5, 8, 8, 3)), 2)] == [2, 2, 1]


def test_generated_images_depend_on_the_seed_only():
    assert generated_image(1, 32) == generated_image(1, 32) != generated_image(2, 32)
    assert tf.io.decode_jpeg(generated_image(1, 64)).shape == [80, 80, 3]
