"""Summaries of record folders, ours and those of other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from record_cases import NO_OBJECTS, coco_record, foreign_coco_record, foreign_imagenet_record, write

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info


def test_imagenet_records_of_other_programs_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002", foreign_imagenet_record(1), foreign_imagenet_record(12))
    last = write(tmp_path / "train-00001-of-00002", foreign_imagenet_record(3))
    write(tmp_path / "validation-00000-of-00001", foreign_imagenet_record(2))
    info = dataset_info.load_dataset_info(tmp_path)
    assert info.classes == 12
    assert {name: split.shard_examples for name, split in info.splits.items()} == {
        "train": (2, 1),
        "validation": (1,),
    }
    write(last, foreign_imagenet_record(3), foreign_imagenet_record(3))
    assert dataset_info.load_dataset_info(tmp_path).fingerprint != info.fingerprint
    (tmp_path / "labels.txt").write_text("a\tapple\nb\tbear\n")
    assert dataset_info.load_dataset_info(tmp_path).texts == ("apple", "bear")
    (tmp_path / "labels.txt").write_text("0:background\n1:apple\n2:bear: brown\n")  # TF-Slim's format
    assert dataset_info.load_dataset_info(tmp_path).texts == ("apple", "bear: brown")


def test_coco_records_of_other_programs_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001"
    write(path, foreign_coco_record(), foreign_coco_record())
    info = dataset_info.load_dataset_info(tmp_path, "coco")
    assert (info.kind, info.classes, info.texts, info.category_ids) == ("coco", 2, ("cat", "dog"), (1, 2))
    write(path, coco_record(**NO_OBJECTS), coco_record())
    info = dataset_info.load_dataset_info(tmp_path)
    assert (info.kind, info.texts, info.category_ids) == ("coco", ("cat", "2", "dog"), (1, 2, 3))
    (tmp_path / "labels.txt").write_text("5\tcat\n9\tpig\n18\tdog\n")
    info = dataset_info.load_dataset_info(tmp_path)
    assert (info.texts, info.category_ids, info.synsets) == (("cat", "pig", "dog"), (5, 9, 18), ("5", "9", "18"))
    with pytest.raises(DataError, match=r"contains coco records, but imagenet records are needed; .*prepare-imagenet"):
        dataset_info.load_dataset_info(tmp_path, "imagenet")


@pytest.mark.parametrize("kind", ["imagenet", "coco"])
def test_damaged_dataset_file(tmp_path: Path, kind: str) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"kind": kind}))
    with pytest.raises(DataError, match=r"dataset\.json is not as expected: it has no 'classes'; write"):
        dataset_info.load_dataset_info(tmp_path)


def test_records_need_the_number_of_shards_in_the_summary(tmp_path: Path) -> None:
    split = {"examples": 2, "shard_examples": [1, 1], "per_class": {}}
    stored = {"kind": "imagenet", "classes": 3, "fingerprint": "f", "splits": {"train": split}}
    (tmp_path / "dataset.json").write_text(json.dumps(stored))
    write(tmp_path / "train-00000-of-00001", foreign_imagenet_record(1))
    with pytest.raises(DataError, match=r"dataset\.json says 2 train shards, .*1;"):
        dataset_info.load_dataset_info(tmp_path)


def test_other_messages_than_examples(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00001", b"not an example")
    with pytest.raises(DataError, match=r"train-00000-of-00001 .*tf\.train\.Example"):
        dataset_info.load_dataset_info(tmp_path)
