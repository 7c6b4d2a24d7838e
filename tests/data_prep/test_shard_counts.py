"""The number of shards follows from the size of the images, unless a flag or an earlier run says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_prep.coco import prepare_coco
from data_prep.imagenet import prepare_imagenet
from data_prep.options import CocoOptions, Options
from data_prep.writing.shards import shard_count
from mnasnet_cli.records import shards

MB = 1_000_000


@pytest.mark.parametrize(
    ("split", "images", "image_bytes", "options", "expected"),
    [
        ("train", 1_281_167, 108_000, Options(), 1024),  # ImageNet
        ("validation", 50_000, 128_000, Options(), 128),
        ("train", 118_287, 152_000, CocoOptions(), 100),  # COCO 2017
        ("validation", 5_000, 160_000, CocoOptions(), 10),
        ("test", 5_000, 160_000, CocoOptions(), 10),
        ("train", 20_000, 100_000, Options(), 20),  # 2 GB
        ("validation", 10_000, 100_000, Options(), 20),
        ("train", 3_000, 100_000, Options(), 3),
        ("train", 700, 50_000, Options(), 1),
        ("train", 1_500, 10_000, Options(), 1),
        ("train", 3, 200 * MB, Options(), 3),  # never more than images
        ("train", 1, 0, Options(), 1),
    ],
)
def test_number_of_shards(split: str, images: int, image_bytes: int, options: Options, expected: int) -> None:
    assert shard_count(split, [image_bytes] * images, options.most_shards[split]) == expected


def test_each_part_has_a_shard_and_missing_files_have_no_size() -> None:
    assert shard_count("train", [1000] * 50, 1024, parts=4) == 4
    assert shard_count("train", [-1, -2, 60 * MB, 60 * MB], 1024) == 2
    assert shard_count("train", [1000, 1000], 1024, parts=4) == 2


def test_a_small_source_has_one_shard_of_each_split(mnasnet: Any, pristine_imagenet: Path, tmp_path: Path) -> None:
    outcome = mnasnet("prepare-imagenet", pristine_imagenet, tmp_path / "out", "--json")
    assert [split["shards"] for split in outcome.json["splits"].values()] == [1, 1]
    quiet = mnasnet("prepare-imagenet", pristine_imagenet, tmp_path / "again")
    assert "instead of" not in quiet.err
    asked = mnasnet("prepare-imagenet", pristine_imagenet, tmp_path / "asked", "--train-shards=100")
    assert "train: 36 shards instead of 100, one for each image" in asked.err


@pytest.mark.parametrize("finished", [True, False])
def test_records_of_an_earlier_version_keep_their_numbers(
    pristine_imagenet: Path, tmp_path: Path, finished: bool
) -> None:
    out = tmp_path / "out"
    prepare_imagenet(pristine_imagenet, out, Options(train_shards=1024, val_shards=128, workers=1))  # its defaults
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    if not finished:
        part = Options(train_shards=36, val_shards=12, part=(1, 2), workers=1)
        prepare_imagenet(pristine_imagenet, out := tmp_path / "parts", part)
    else:
        (out / "train-00003-of-00036").unlink()
    options = Options(resume=True, part=(1, 1) if finished else (2, 2), workers=1)
    prepare_imagenet(pristine_imagenet, out, options)
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert [name for name in before if after.get(name) != before[name]] == ([] if finished else ["dataset.json"])
    assert len(shards.find_shards(out, "train")) == 36


def test_records_without_validation_of_an_earlier_version_go_on_without(coco_source: Path, tmp_path: Path) -> None:
    (coco_source / "annotations/instances_val2017.json").unlink()
    (coco_source / "val2017").rename(tmp_path / "elsewhere")
    out = tmp_path / "out"
    prepare_coco(coco_source, out, CocoOptions(val_fraction=0, workers=1))
    stored = json.loads((out / "dataset.json").read_text())
    shards.find_shards(out, "train")[0].unlink()
    assert prepare_coco(coco_source, out, CocoOptions(resume=True, workers=1))["splits"] == stored["splits"]
