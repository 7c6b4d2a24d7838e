"""Records: encode and decode, TensorFlow's view of both, shard names, damage, and foreign folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info, imagenet_example, keys, shards, tfrecord
from mnasnet_cli.records.tfrecord import decode_example, encode_example, frame_record, masked_crc, read_records

IMAGE = bytes(range(256)) * 3
ONE = imagenet_example.encode_imagenet_example(
    IMAGE, label=300, synset="n01440764", text="tench, Tinca tinca", filename="a.JPEG", height=224, width=70_000,
    channels=1,
)  # fmt: skip


def write(path: Path, rows: list[bytes]) -> Path:
    path.write_bytes(b"".join(frame_record(row)[0] + row + frame_record(row)[1] for row in rows))
    return path


def foreign(label: int) -> bytes:
    """A record as TF-Slim's scripts write it, here in an order of keys that isn't sorted."""
    return encode_example({keys.LABEL: label, keys.ENCODED: IMAGE, keys.FORMAT: b"jpeg"})


def test_imagenet_example_round_trip() -> None:
    assert decode_example(ONE) == {
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


def test_example_is_what_tensorflow_writes() -> None:
    import tensorflow as tf

    assert tf.train.Example.FromString(ONE).SerializeToString(deterministic=True) == ONE
    mixed = {"b": [b"x", b""], "f": [0.5, -2.0], "i": [-1, 0, 1 << 40], "none": [], "one": 1.5}
    theirs = tf.train.Example.FromString(encode_example(mixed))
    assert list(theirs.features.feature["b"].bytes_list.value) == mixed["b"]
    assert list(theirs.features.feature["f"].float_list.value) == mixed["f"]
    assert list(theirs.features.feature["i"].int64_list.value) == mixed["i"]
    assert list(theirs.features.feature["one"].float_list.value) == [1.5]
    assert decode_example(theirs.SerializeToString()) == mixed | {"one": [1.5]}


def test_parse_in_tensorflow_directly_and_in_map(tmp_path: Path) -> None:
    import tensorflow as tf

    path = write(tmp_path / "train-00000-of-00001", [ONE, foreign(7)])
    dataset = tf.data.TFRecordDataset([str(path)])
    rows = [dict(row) for row in dataset.map(imagenet_example.parse_imagenet_example).as_numpy_iterator()]
    assert rows == [
        {"image_bytes": IMAGE, "label": 300, "filename": b"a.JPEG"},
        {"image_bytes": IMAGE, "label": 7, "filename": b""},
    ]
    assert imagenet_example.parse_imagenet_example(tf.constant(ONE))["label"].numpy() == 300


def test_reads_what_tensorflow_writes(tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "x.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(ONE)
        writer.write(b"")
    assert list(read_records(path)) == [ONE, b""]


def test_masked_crc_of_a_known_value() -> None:
    # CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4); rotated right by 15 and 0xa282ead8 added.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x05\x0a", IMAGE, b"\x0a\x03\x0a\x01\x08"])
def test_decode_refuses_what_is_no_example(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
        decode_example(data)


def test_verify_names_shard_record_and_byte(tmp_path: Path) -> None:
    whole = write(tmp_path / "train-00000-of-00002", [ONE, ONE, ONE])
    size = whole.stat().st_size // 3
    assert shards.verify_shards([whole]) == 3
    damaged = tmp_path / "train-00001-of-00002"

    data = bytearray(whole.read_bytes())
    data[size + 100] ^= 4  # within the data of record 1
    damaged.write_bytes(data)
    with pytest.raises(DataError, match=rf"train-00001-of-00002 .*record 1, at byte {size}: its checksum"):
        shards.verify_shards([whole, damaged])
    assert tfrecord.count_records(damaged) == 3  # hops over the data

    data = bytearray(whole.read_bytes())
    data[2 * size + 1] ^= 4  # the length of record 2
    damaged.write_bytes(data)
    with pytest.raises(DataError, match=rf"record 2, at byte {2 * size}: the checksum of its length"):
        tfrecord.count_records(damaged)

    damaged.write_bytes(whole.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"record 2, at byte {2 * size}: the file is cut off 9 bytes before"):
        shards.verify_shards([damaged])
    damaged.write_bytes(whole.read_bytes()[: size + 5])
    with pytest.raises(DataError, match=rf"record 1, at byte {size}: the file is cut off in the record's header"):
        tfrecord.count_records(damaged)


def test_find_shards_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no record folder .*mnasnet prepare-imagenet SOURCE"):
        shards.find_shards(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match="no train-"):
        shards.find_shards(tmp_path, "train")
    paths = [write(tmp_path / shards.shard_name("train", index, 4), [ONE]) for index in range(4)]
    (tmp_path / "train-notes.txt").write_text("no shard")
    assert shards.find_shards(tmp_path, "train") == paths
    paths[1].unlink()
    paths[2].unlink()
    with pytest.raises(DataError, match=r"train-00001-of-00004 and 1 more is missing in .*--resume"):
        shards.find_shards(tmp_path, "train")
    write(tmp_path / "train-00000-of-00001", [ONE])
    with pytest.raises(DataError, match=r"two sets of train shards \(1 of 1 and 2 of 4\)"):
        shards.find_shards(tmp_path, "train")


def test_the_object_detection_apis_names_are_shards(tmp_path: Path) -> None:
    train = [write(tmp_path / f"coco_train.record-{index:05d}-of-00002", [ONE]) for index in range(2)]
    val = [write(tmp_path / "pet_faces_val.record-00000-of-00001", [ONE])]
    assert shards.find_shards(tmp_path, "train") == train
    assert shards.find_shards(tmp_path, "validation") == val
    assert shards.split_name("imagenette-train.tfrecord-00000-of-00001") not in ("train", "validation")  # other keys
    train[1].unlink()
    with pytest.raises(DataError, match=r"shard coco_train\.record-00001-of-00002 is missing .*copy it"):
        shards.find_shards(tmp_path, "train")
    write(tmp_path / shards.shard_name("train", 1, 2), [ONE])
    with pytest.raises(DataError, match=r"two sets of train shards \(coco_train\.record and train\)"):
        shards.find_shards(tmp_path, "train")


def test_unfinished_records_are_no_records(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00001", [ONE])
    journal = tmp_path / "unfinished-part-00001-of-00001.jsonl"
    journal.write_text("{}\n")
    with pytest.raises(DataError, match=r"unfinished; .* --resume` and the flags that they were begun with") as caught:
        dataset_info.load_dataset_info(tmp_path)
    assert "--part" not in str(caught.value)
    journal.rename(tmp_path / "unfinished-part-00003-of-00010.jsonl")
    with pytest.raises(DataError, match=r"unfinished; .* --part I/10 --resume` for I from 1 to 10, and the flags"):
        dataset_info.load_dataset_info(tmp_path)


def test_foreign_folder_is_counted_by_scanning(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002", [foreign(1), foreign(12)])
    last = write(tmp_path / "train-00001-of-00002", [foreign(3)])
    write(tmp_path / "validation-00000-of-00001", [foreign(2)])
    info = dataset_info.load_dataset_info(tmp_path)
    assert info.classes == 12
    assert {name: split.shard_examples for name, split in info.splits.items()} == {
        "train": (2, 1),
        "validation": (1,),
    }
    write(last, [foreign(3), foreign(3)])
    assert dataset_info.load_dataset_info(tmp_path).fingerprint != info.fingerprint
    (tmp_path / "labels.txt").write_text("a\tapple\nb\tbear\n")
    assert dataset_info.load_dataset_info(tmp_path).texts == ("apple", "bear")
    (tmp_path / "labels.txt").write_text("0:background\n1:apple\n2:bear: brown\n")  # as TF-Slim writes it
    assert dataset_info.load_dataset_info(tmp_path).texts == ("apple", "bear: brown")


def test_damaged_dataset_file(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"kind": "imagenet"}))
    with pytest.raises(DataError, match=r"cannot read .*dataset\.json"):
        dataset_info.load_dataset_info(tmp_path)
