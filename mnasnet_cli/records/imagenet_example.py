"""Encodes and decodes ImageNet-style records.

The keys are those of TF-Slim and the TPU code, so these programs and ours read each other's records. Labels are 1..N in
the sorted order of the synsets; 0 is background.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from mnasnet_cli.records.image_files.kinds import PNG_SIGNATURE
from mnasnet_cli.records.keys import CHANNELS, COLORSPACE, ENCODED, FILENAME, FORMAT, HEIGHT, LABEL, SYNSET, TEXT, WIDTH
from mnasnet_cli.records.tfrecord import encode_entry, join_entries

if TYPE_CHECKING:
    import tensorflow as tf


def encode_imagenet_example(
    encoded: bytes, *, label: int, synset: str, text: str, filename: str, height: int, width: int, channels: int = 3
) -> bytes:
    """Return a serialized tf.train.Example.

    Args:
        encoded: bytes of a JPEG or PNG file.
        label: 1..N; 0 is background.
        synset: WordNet id of the class, such as n01440764.
        text: name of the class.
        filename: name of the image file, without folders.
        height, width: pixels. channels: 3, or 1 for grayscale.
    """
    return join_entries(
        (
            _class_entries(label, synset, text, channels),
            encode_entry(ENCODED, encoded),
            encode_entry(FILENAME, filename.encode("utf-8", "surrogateescape")),
            _size_entries(height, width, b"PNG" if encoded.startswith(PNG_SIGNATURE) else b"JPEG"),
        )
    )


# Keys are written in sorted order, as in protobuf's deterministic mode. The entries that many images share are cached,
# which halves the time to encode an example.
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
def _size_entries(height: int, width: int, file_format: bytes) -> bytes:
    return encode_entry(FORMAT, file_format) + encode_entry(HEIGHT, height) + encode_entry(WIDTH, width)


def parse_imagenet_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parse a serialized example (string []) in TensorFlow, for tf.data's map.

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
