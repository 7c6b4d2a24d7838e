"""Names of shards; finding them, and what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from record_cases import IMAGENET_RECORD, write

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import shards
from mnasnet_cli.records.verification import verify_records


def test_verification_names_the_damaged_shard(tmp_path: Path) -> None:
    _, damaged = (write(tmp_path / f"train-0000{index}-of-00002", IMAGENET_RECORD, IMAGENET_RECORD) for index in (0, 1))
    assert verify_records(tmp_path) == 2
    data = bytearray(damaged.read_bytes())
    data[100] ^= 4
    damaged.write_bytes(data)
    with pytest.raises(DataError, match=r"train-00001-of-00002 .*record 0, at byte 0"):
        verify_records(tmp_path)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no record folder .*mnasnet prepare-imagenet SOURCE"):
        shards.find_shards(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match="no train-"):
        shards.find_shards(tmp_path, "train")
    paths = [write(tmp_path / shards.shard_name("train", index, 4), IMAGENET_RECORD) for index in range(4)]
    (tmp_path / "train-notes.txt").write_text("not a shard")
    assert shards.find_shards(tmp_path, "train") == paths
    paths[1].unlink()
    paths[2].unlink()
    with pytest.raises(DataError, match=r"train-00001-of-00004 and 1 more is missing in .*--resume"):
        shards.find_shards(tmp_path, "train")
    write(tmp_path / "train-00000-of-00001", IMAGENET_RECORD)
    with pytest.raises(DataError, match=r"two sets of train shards \(1 of 1 and 2 of 4\)"):
        shards.find_shards(tmp_path, "train")


def test_names_of_the_object_detection_api(tmp_path: Path) -> None:
    train = [write(tmp_path / f"coco_train.record-{index:05d}-of-00002", IMAGENET_RECORD) for index in range(2)]
    val = [write(tmp_path / "pet_faces_val.record-00000-of-00001", IMAGENET_RECORD)]
    assert shards.find_shards(tmp_path, "train") == train
    assert shards.find_shards(tmp_path, "validation") == val
    # The records of such files have other keys.
    assert shards.split_name("imagenette-train.tfrecord-00000-of-00001") not in ("train", "validation")
    train[1].unlink()
    with pytest.raises(DataError, match=r"shard coco_train\.record-00001-of-00002 is missing .*copy it"):
        shards.find_shards(tmp_path, "train")
    write(tmp_path / shards.shard_name("train", 1, 2), IMAGENET_RECORD)
    with pytest.raises(DataError, match=r"two sets of train shards \(coco_train\.record and train\)"):
        shards.find_shards(tmp_path, "train")


def test_unfinished_records(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00001", IMAGENET_RECORD)
    journal = tmp_path / "unfinished-part-00001-of-00001.jsonl"
    journal.write_text("{}\n")
    with pytest.raises(DataError, match=r"unfinished; .* --resume`") as caught:
        shards.find_shards(tmp_path, "train")
    assert "--part" not in str(caught.value)
    journal.rename(tmp_path / "unfinished-part-00003-of-00010.jsonl")
    with pytest.raises(DataError, match=r"unfinished; .* --part I/10 --resume` for I from 1 to 10"):
        shards.find_shards(tmp_path, "train")


def test_messages_name_the_command_for_the_kind_of_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mnasnet prepare-coco SOURCE"):
        shards.find_shards(tmp_path, "train", "coco")
    (tmp_path / "unfinished-part-00001-of-00001.jsonl").write_text('{"kind": "coco"}\n')
    with pytest.raises(DataError, match=r"unfinished.* `mnasnet prepare-coco"):
        shards.find_shards(tmp_path, "train")


def test_a_shard_of_other_records_is_named(shape_records: Path, tmp_path: Path) -> None:
    records = Path(shutil.copytree(shape_records, tmp_path / "records"))
    assert verify_records(records) == 6
    first, second = (records / shards.shard_name("train", index, 4) for index in (0, 1))
    shutil.copy(second, first)  # whole, with the checksums of its records
    with pytest.raises(DataError, match=r"train-00000-of-00004 holds other records than were written"):
        verify_records(records)
