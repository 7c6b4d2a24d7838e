"""What stands in the records: keys, encode and decode side by side, shard names, and the summary of a record folder.

ImageNet records carry the keys of TF-Slim's and the TPU code's, so either program reads the other's.
Labels are 1..N in the sorted order of the synsets; 0 is background. COCO records are in `schema_coco`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mnasnet_cli.data.dataset_info import DatasetInfo, SplitInfo, load_dataset_info, read_labels
from mnasnet_cli.data.record_keys import (
    AREA_LIMITS,
    CHANNELS,
    COLORSPACE,
    ENCODED,
    FILENAME,
    FORMAT,
    HEIGHT,
    LABEL,
    SYNSET,
    TEXT,
    WIDTH,
)
from mnasnet_cli.data.schema_coco import encode_coco_example, parse_coco_example
from mnasnet_cli.data.shard_files import (
    DATASET_FILE,
    JOURNAL_PATTERN,
    LABELS_FILE,
    SPLITS,
    find_shards,
    journal_parts,
    shard_groups,
    shard_name,
    split_name,
)
from mnasnet_cli.data.tfrecord import (
    count_records,
    decode_example,
    encode_entry,
    encode_example,
    frame_record,
    join_entries,
    read_records,
)

if TYPE_CHECKING:
    import tensorflow as tf

# Users of records need to know this module only.
__all__ = [
    "AREA_LIMITS", "CHANNELS", "COLORSPACE", "DATASET_FILE", "ENCODED", "FILENAME", "FORMAT", "HEIGHT",
    "JOURNAL_PATTERN", "LABEL", "LABELS_FILE", "SPLITS", "SYNSET", "TEXT", "WIDTH", "DatasetInfo", "SplitInfo",
    "count_records", "decode_example", "encode_coco_example", "encode_example", "encode_imagenet_example",
    "find_shards", "frame_record", "journal_parts", "load_dataset_info", "parse_coco_example", "parse_imagenet_example",
    "read_labels", "read_records", "shard_groups", "shard_name", "split_name", "verify_shards",
]  # fmt: skip


def encode_imagenet_example(
    encoded: bytes, *, label: int, synset: str, text: str, filename: str, height: int, width: int, channels: int = 3
) -> bytes:
    """Return one serialised tf.train.Example.

    Args:
        encoded: a JPEG file's bytes.
        label: 1..N; 0 is background.
        synset: WordNet id, such as n01440764.
        text: the class in words.
        filename: the source file's name without folders.
        height, width: pixels. channels: 3, or 1 for grayscale.
    """
    return join_entries(
        (
            _class_entries(label, synset, text, channels),
            encode_entry(ENCODED, encoded),
            encode_entry(FILENAME, filename.encode("utf-8", "surrogateescape")),
            _size_entries(height, width),
        )
    )


# Keys are written in sorted order, as protobuf's deterministic mode does. What stays the same from image to image is
# encoded once: that halves the time of an example.
@lru_cache(maxsize=4096)
def _class_entries(label: int, synset: str, text: str, channels: int) -> bytes:
    return b"".join(
        (
            encode_entry(CHANNELS, channels),
            encode_entry(LABEL, label),
            encode_entry(SYNSET, synset.encode()),
            encode_entry(TEXT, text.encode()),
            encode_entry(COLORSPACE, b"RGB" if channels == 3 else b"Grayscale"),
        )
    )


@lru_cache(maxsize=4096)
def _size_entries(height: int, width: int) -> bytes:
    return encode_entry(FORMAT, b"JPEG") + encode_entry(HEIGHT, height) + encode_entry(WIDTH, width)


def parse_imagenet_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parse one serialised example (string []) in TensorFlow, as tf.data's map wants it.

    Returns:
        image_bytes string [], label int64 [] (1..N, 0 is background), filename string [].
    """
    import tensorflow as tf

    parsed = tf.io.parse_single_example(
        serialized,
        {
            ENCODED: tf.io.FixedLenFeature([], tf.string),
            LABEL: tf.io.FixedLenFeature([], tf.int64),
            FILENAME: tf.io.FixedLenFeature([], tf.string, default_value=""),
        },
    )
    return {"image_bytes": parsed[ENCODED], "label": parsed[LABEL], "filename": parsed[FILENAME]}


def verify_shards(paths: Iterable[Path]) -> int:
    """Hold every byte of the shards against its CRC and return the number of records.

    Raises DataError naming the first corrupt shard, the record in it and the byte where that record starts.
    """
    return sum(1 for path in paths for _ in read_records(path))
