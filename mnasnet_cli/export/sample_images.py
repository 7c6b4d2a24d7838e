"""The images that an export is checked on and calibrated with: real ones, or generated ones where there are none."""

from __future__ import annotations

from collections.abc import Iterator
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

# Records that are looked at for each calibration image that is wanted, to find images of all classes.
_LOOKED_AT = 20


@dataclass(frozen=True)
class Samples:
    """Images for one model; `data` is a folder of records of its kind, None where there are none."""

    loaded: LoadedModel
    data: Path | None

    def __post_init__(self) -> None:
        if self.data is not None:
            load_dataset_info(self.data, DATASETS[self.loaded.task])  # raises where they are none or of another kind

    def encoded(self, count: int) -> list[bytes]:
        """Encoded images of the validation split, spread over its shards; of the other where there is no such split."""
        if self.data is None:
            return [generated_image(number, self.loaded.image_size) for number in range(count)]
        splits = load_dataset_info(self.data).splits
        split = "validation" if splits.get("validation") and splits["validation"].examples else "train"
        return [image for image, _ in self._read(split, count)]

    def describe(self, count: int) -> str:
        """What `encoded` gives, in words."""
        return f"{count} generated images" if self.data is None else f"{count} images of {self.data}"

    def calibration_images(self, count: int) -> list[bytes]:
        """Encoded training images, of a classifier about as many of each class; validation has none of them.

        Raises:
          DataError: there are no records.
        """
        if self.data is None:
            raise DataError(
                "tflite-int8 is calibrated on real images, and there are none: name a folder of records with --data "
                f"(`mnasnet prepare-{DATASETS[self.loaded.task]}` makes them), or leave this format out"
            )
        splits = load_dataset_info(self.data).splits
        split = "train" if splits.get("train") and splits["train"].examples else "validation"
        if self.loaded.task == "detection":
            return [image for image, _ in self._read(split, count)]
        quota = -(-count // len(self.loaded.labels))
        chosen: list[bytes] = []
        left_over: list[bytes] = []
        seen: dict[int, int] = {}
        for image, label in self._read(split, count * _LOOKED_AT):
            wanted = seen.get(label, 0) < quota
            seen[label] = seen.get(label, 0) + 1
            if wanted:
                chosen.append(image)
            elif len(left_over) < count:
                left_over.append(image)
            if len(chosen) == count:
                break
        return (chosen + left_over)[:count]

    def tensors(self, encoded: list[bytes]) -> Iterator[np.ndarray]:
        """The net's input [S, S, 3] of each image."""
        for image in encoded:
            yield self._preprocess(tf.constant(image)).numpy()

    @cached_property
    def _preprocess(self) -> tf.types.experimental.PolymorphicFunction:
        return compiled_preprocess(self.loaded.preprocessing)

    def _read(self, split: str, count: int) -> Iterator[tuple[bytes, int]]:
        """Encoded image and label (0 for detectors) of records taken in turn from all shards."""
        assert self.data is not None
        paths = [str(path) for path in find_shards(self.data, split)]
        keys = {
            ENCODED: tf.io.FixedLenFeature([], tf.string),
            LABEL: tf.io.FixedLenFeature([], tf.int64, default_value=0),
        }
        records = tf.data.Dataset.from_tensor_slices(paths).interleave(
            tf.data.TFRecordDataset, cycle_length=min(len(paths), 64), block_length=1
        )
        try:
            for record in records.take(count):
                parsed = tf.io.parse_single_example(record, keys)
                yield parsed[ENCODED].numpy(), int(parsed[LABEL].numpy())
        except tf.errors.OpError as error:
            raise DataError(f"the {split} records in {self.data} can't be read: {first_line(error)}") from error


def generated_image(number: int, size: int) -> bytes:
    """A JPEG of smooth colours and sharp edges, always the same for a number: no photograph, but no flat plane."""
    random = np.random.default_rng(number)
    side = max(48, size + size // 4)
    clouds = tf.image.resize(random.uniform(0, 255, (6, 6, 3)).astype(np.float32), [side, side], "bicubic").numpy()
    for _ in range(6):
        top, left = random.integers(0, side, 2)
        height, width = random.integers(side // 10, side // 2, 2)
        clouds[top : top + height, left : left + width] = random.uniform(0, 255, 3)
    pixels = np.clip(clouds, 0, 255).astype(np.uint8)
    return bytes(tf.io.encode_jpeg(pixels, quality=90).numpy())
