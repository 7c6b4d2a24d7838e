"""TFRecord files and tf.train.Example messages, compared with TensorFlow's, and damaged ones."""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

import pytest
from record_cases import IMAGE, IMAGENET_RECORD, write

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.tfrecord import (
    count_records,
    decode_example,
    encode_example,
    encode_varint,
    masked_crc,
    read_records,
)


def test_examples_are_those_of_tensorflow() -> None:
    import tensorflow as tf

    mixed = {"b": [b"x", b""], "f": [0.5, -2.0], "i": [-1, 0, 1 << 40], "none": [], "one": 1.5}
    example = tf.train.Example.FromString(encode_example(mixed))
    assert list(example.features.feature["b"].bytes_list.value) == mixed["b"]
    assert list(example.features.feature["f"].float_list.value) == mixed["f"]
    assert list(example.features.feature["i"].int64_list.value) == mixed["i"]
    assert list(example.features.feature["one"].float_list.value) == [1.5]
    assert decode_example(example.SerializeToString()) == mixed | {"one": [1.5]}


def test_empty_arrays_keep_their_type() -> None:
    import tensorflow as tf

    example = tf.train.Example.FromString(encode_example({"f": array("f"), "i": array("q", [1, -1])}))
    assert example.features.feature["f"].WhichOneof("kind") == "float_list"
    assert list(example.features.feature["i"].int64_list.value) == [1, -1]


def test_int64_lists_that_are_not_packed() -> None:
    value = b"\x08\x05\x08\xff\x01"  # Int64List: 5, 255
    feature = b"\x1a" + bytes([len(value)]) + value
    entry = b"\x0a\x01a\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    assert decode_example(b"\x0a" + bytes([len(features)]) + features) == {"a": [5, 255]}


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (1 << 63, "80" * 9 + "01")]
)
def test_varints(number: int, encoded: str) -> None:
    assert encode_varint(number).hex() == encoded


def test_files_of_tensorflow_are_read(tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "x.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(IMAGENET_RECORD)
        writer.write(b"")
    assert list(read_records(path)) == [IMAGENET_RECORD, b""]


def test_tensorflow_reads_the_files(tmp_path: Path) -> None:
    import tensorflow as tf

    path = write(tmp_path / "x.tfrecord", IMAGENET_RECORD, b"")
    assert list(tf.data.TFRecordDataset([str(path)]).as_numpy_iterator()) == [IMAGENET_RECORD, b""]


def test_masked_crc_of_a_known_value() -> None:
    # CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4); rotated right by 15 and 0xa282ead8 added.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x05\x0a", IMAGE, b"\x0a\x03\x0a\x01\x08"])
def test_other_bytes_are_not_examples(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
        decode_example(data)


def test_damage_is_reported_with_record_and_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "file", IMAGENET_RECORD, IMAGENET_RECORD, IMAGENET_RECORD)
    whole = path.read_bytes()
    size = len(whole) // 3

    data = bytearray(whole)
    data[size + 100] ^= 4  # within the data of record 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"{path} .*record 1, at byte {size}: its checksum"):
        list(read_records(path))
    assert len(list(read_records(path, check=False))) == 3
    assert count_records(path) == 3  # reads the headers only

    data = bytearray(whole)
    data[2 * size + 1] ^= 4  # the length of record 2
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"record 2, at byte {2 * size}: the checksum of its length"):
        count_records(path)

    path.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=rf"record 2, at byte {2 * size}: the file is cut off 9 bytes before"):
        list(read_records(path))
    path.write_bytes(whole[: size + 5])
    with pytest.raises(DataError, match=rf"record 1, at byte {size}: the file is cut off in the record's header"):
        count_records(path)
    length = struct.pack("<Q", 1 << 40)  # a valid header with a length beyond the end of the file
    path.write_bytes(length + struct.pack("<I", masked_crc(length)))
    with pytest.raises(DataError, match="record 0, at byte 0: the file is cut off"):
        count_records(path)
    with pytest.raises(DataError, match="nowhere: no such file"):
        count_records(tmp_path / "nowhere")
