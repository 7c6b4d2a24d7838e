"""ImageNet records: encoding, and parsing with and without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from record_cases import IMAGE, IMAGENET_RECORD, foreign_imagenet_record, write

from mnasnet_cli.records.imagenet_example import parse_imagenet_example
from mnasnet_cli.records.tfrecord import decode_example


def test_round_trip_without_tensorflow() -> None:
    assert decode_example(IMAGENET_RECORD) == {
        "image/channels": [1],
        "image/class/label": [300],
        "image/class/synset": [b"n01440764"],
        "image/class/text": [b"tench, Tinca tinca"],
        "image/colorspace": [b"Grayscale"],
        "image/encoded": [IMAGE],
        "image/filename": [b"a.JPEG"],
        "image/format": [b"JPEG"],
        "image/height": [224],
        "image/width": [70_000],
    }


def test_the_bytes_are_those_of_tensorflow() -> None:
    import tensorflow as tf

    assert tf.train.Example.FromString(IMAGENET_RECORD).SerializeToString(deterministic=True) == IMAGENET_RECORD


def test_parsing_in_eager_mode_and_in_map(tmp_path: Path) -> None:
    import tensorflow as tf

    path = write(tmp_path / "train-00000-of-00001", IMAGENET_RECORD, foreign_imagenet_record(7))
    dataset = tf.data.TFRecordDataset([str(path)])
    rows = [dict(row) for row in dataset.map(parse_imagenet_example).as_numpy_iterator()]
    assert rows == [
        {"image_bytes": IMAGE, "label": 300, "filename": b"a.JPEG"},
        {"image_bytes": IMAGE, "label": 7, "filename": b""},
    ]
    assert parse_imagenet_example(tf.constant(IMAGENET_RECORD))["label"].numpy() == 300
