"""Images for the parity check and for calibration: from records, or generated if there are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.task_names import DATASETS
from mnasnet_cli.data.preprocessing import compiled_preprocess
from mnasnet_cli.errors import DataError, first_line
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.records.dataset_info import load_dataset_info
from mnasnet_cli.records.keys import ENCODED, LABEL
from mnasnet_cli.records.shards import find_shards
from mnasnet_cli.records.tfrecord import are_compressed, is_compressed

# Records that are read per calibration image, in search of images of all classes.
_READ_PER_IMAGE = 20
# Pixels in a batch: 8 images of 224 px, but large images one by one. A RetinaNet at 640 px takes 1 GB per image.
BATCH_PIXELS = 8 * 224 * 224


@dataclass(frozen=True)
class SampleImages:
    """Images for one model.

    Raises:
      DataError: `data` holds no records, or records of another task.
    """

    loaded: LoadedModel
    data: Path | None
    """A folder of records of the model's task; None: images are generated."""

    def __post_init__(self) -> None:
        if self.data is not None:
            load_dataset_info(self.data, DATASETS[self.loaded.task])

    def parity_images(self, count: int) -> list[bytes]:
        """Return encoded images from all shards of the validation split, or of another split if that is empty."""
        if self.data is None:
            return [generated_image(number, self.loaded.image_size) for number in range(count)]
        return [image for image, _ in self._read(self._split("validation", "test", "train"), count)]

    def describe_parity_images(self, count: int) -> str:
        """Return what `parity_images` are, for the manifest."""
        return f"{count} generated images" if self.data is None else f"{count} images of {self.data}"

    def calibration_images(self, count: int) -> list[bytes]:
        """Return encoded images of the training split, or of another split if that is empty.

        For classifiers, the images are spread evenly over the classes, as far as the first records allow.

        Raises:
          DataError: there are no records.
        """
        if self.data is None:
            raise DataError(
                "tflite-int8 is calibrated on real images, but there are no records; name a folder of records with "
                f"--data (`mnasnet prepare-{DATASETS[self.loaded.task]}` makes them), or leave this format out"
            )
        split = self._split("train", "validation", "test")
        if self.loaded.task == "detection":
            return [image for image, _ in self._read(split, count)]
        per_class = -(-count // len(self.loaded.labels))
        chosen: list[bytes] = []
        surplus: list[bytes] = []
        seen: Counter[int] = Counter()
        for image, label in self._read(split, count * _READ_PER_IMAGE):
            seen[label] += 1
            if seen[label] <= per_class:
                chosen.append(image)
            elif len(surplus) < count:
                surplus.append(image)
            if len(chosen) == count:
                break
        return (chosen + surplus)[:count]

    def preprocess(self, images: Iterable[bytes]) -> Iterator[np.ndarray]:
        """Turn encoded images into the net's input, float32 [S, S, 3] each."""
        for image in images:
            yield self._preprocess(tf.constant(image)).numpy()

    @cached_property
    def _preprocess(self) -> tf.types.experimental.PolymorphicFunction:
        return compiled_preprocess(self.loaded.preprocessing)

    def _split(self, *preferred: str) -> str:
        """Return the first of these splits that has images."""
        assert self.data is not None
        splits = load_dataset_info(self.data).splits
        return next((split for split in preferred if split in splits and splits[split].examples), preferred[0])

    def _read(self, split: str, count: int) -> Iterator[tuple[bytes, int]]:
        """Read encoded images with their labels (0 for detectors) from all shards in turn."""
        assert self.data is not None
        shards = find_shards(self.data, split)
        compression = "GZIP" if are_compressed({path: is_compressed(path) for path in shards}) else ""
        paths = [str(path) for path in shards]
        keys = {
            ENCODED: tf.io.FixedLenFeature([], tf.string),
            LABEL: tf.io.FixedLenFeature([], tf.int64, default_value=0),
        }
        records = tf.data.Dataset.from_tensor_slices(paths).interleave(
            lambda path: tf.data.TFRecordDataset(path, compression), cycle_length=min(len(paths), 64), block_length=1
        )
        try:
            for record in records.take(count):
                parsed = tf.io.parse_single_example(record, keys)
                yield parsed[ENCODED].numpy(), int(parsed[LABEL].numpy())
        except tf.errors.OpError as error:
            raise DataError(f"the {split} records in {self.data} can't be read: {first_line(error)}") from error


def in_batches(images: Iterable[np.ndarray], size: int | None = None) -> Iterator[np.ndarray]:
    """Stack images [S, S, 3] to batches [n, S, S, 3]. The last batch may be smaller.

    Args:
      size: images in a batch; None: as many as BATCH_PIXELS allows.
    """
    batch: list[np.ndarray] = []
    for image in images:
        batch.append(image)
        if len(batch) >= (size or BATCH_PIXELS // (image.shape[0] * image.shape[1])):
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def generated_image(seed: int, image_size: int) -> bytes:
    """Return a JPEG of smooth colours and sharp edges that depends on `seed` only.

    Its side is a quarter longer than `image_size`, the side of the net's input in px.
    """
    random = np.random.default_rng(seed)
    side = max(48, image_size + image_size // 4)
    pixels = tf.image.resize(random.uniform(0, 255, (6, 6, 3)).astype(np.float32), [side, side], "bicubic").numpy()
    for _ in range(6):
        top, left = random.integers(0, side, 2)
        height, width = random.integers(side // 10, side // 2, 2)
        pixels[top : top + height, left : left + width] = random.uniform(0, 255, 3)
    return bytes(tf.io.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), quality=90).numpy())
