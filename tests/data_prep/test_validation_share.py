"""A share of the training images becomes the validation split: stable, by class, and copies stay together."""

from __future__ import annotations

import dataclasses
import shutil
from array import array
from pathlib import Path

import coco_cases
import imagenet_cases
import numpy as np
import pytest

from data_prep.files.archives import FileEntry
from data_prep.files.content_digest import UNREADABLE
from data_prep.files.file_list import FileList
from data_prep.options import Options
from data_prep.validation_share import choose_validation, share_validation, with_validation
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.records import shards, tfrecord
from mnasnet_cli.records.findings import Findings

NONE = np.empty(0, np.int64)
DIGESTS = np.random.default_rng(0).integers(0, UNREADABLE, 5000, np.uint64)


def files(folder: Path, contents: dict[str, bytes], labels: list[int] | None = None) -> FileList:
    table = FileList(folder)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        table.append(FileEntry(name, len(content)))
    table.labels = labels and array("H", labels)
    return table


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.5, 0.9])
def test_the_share_is_about_the_fraction(fraction: float) -> None:
    assert choose_validation(DIGESTS, NONE, NONE, fraction).mean() == pytest.approx(fraction, abs=0.02)


def test_images_stay_on_their_side_when_the_set_grows_and_when_it_is_sorted_otherwise() -> None:
    chosen = choose_validation(DIGESTS, NONE, NONE, 0.1)
    assert (choose_validation(DIGESTS[:3000], NONE, NONE, 0.1) == chosen[:3000]).all()
    assert (choose_validation(DIGESTS[::-1], NONE, NONE, 0.1) == chosen[::-1]).all()
    assert (chosen <= choose_validation(DIGESTS, NONE, NONE, 0.2)).all()  # a larger share adds images only


def test_copies_are_on_the_same_side_in_whatever_class() -> None:
    digests = np.repeat(DIGESTS[:1000], 2)
    chosen = choose_validation(digests, np.arange(2000), np.arange(2000) % 7 + 1, 0.1)
    assert (chosen[::2] == chosen[1::2]).all()
    assert 0 < chosen.sum() < 400


def test_every_class_with_two_pictures_is_on_both_sides() -> None:
    digests = np.array([0.5, 0.4, 0.9, 0.01, 0.02, 0.03, 0.7, 0.7, 0.001]) * UNREADABLE
    labels = np.array([1, 1, 1, 2, 2, 2, 3, 3, 4])
    chosen = choose_validation(digests.astype(np.uint64), np.arange(9), labels, 0.1)
    # 1: the lowest; 2: all but the highest; 3: copies of one picture; 4: one picture, below the threshold, for training
    assert chosen.tolist() == [False, True, False, True, True, False, False, False, False]


def test_an_image_of_several_classes_counts_for_each() -> None:
    digests = (np.array([0.02, 0.5, 0.4, 0.6, 0.7, 0.8]) * UNREADABLE).astype(np.uint64)
    images, classes = np.array([0, 1, 2, 2, 3, 3, 5]), np.array([1, 1, 2, 3, 2, 3, 4])
    # 1 has an image below the threshold; 2 and 3 share their lowest one; 4 has one picture only
    assert choose_validation(digests, images, classes, 0.1).tolist() == [True, False, True, False, False, False]


def test_images_that_cannot_be_read_stay_in_training() -> None:
    digests = np.array([UNREADABLE, 7, UNREADABLE, 8], np.uint64)
    assert choose_validation(digests, NONE, NONE, 0.1).tolist() == [False, True, False, False]
    assert not choose_validation(digests[::2], NONE, NONE, 0.1).any()
    assert choose_validation(digests[:0], NONE, NONE, 0.1).shape == (0,)


def test_a_table_is_split_with_its_columns(tmp_path: Path) -> None:
    contents = {f"{number}.jpg": bytes([number]) * number for number in range(1, 31)}
    table = files(tmp_path, contents, [number % 3 for number in range(30)])
    train, validation = share_validation(table, 0.2)
    assert len(train) + len(validation) == 30
    assert set(validation.labels or ()) == {0, 1, 2}
    for part in (train, validation):
        for index in range(len(part)):
            name = part.name(index)
            assert part.read(index) == contents[name]
            assert part.sizes[index] == len(contents[name])
            assert part.labels
            assert part.labels[index] == (int(name[:-4]) - 1) % 3


def test_one_picture_gives_no_split_and_says_so(tmp_path: Path) -> None:
    tables = {"train": files(tmp_path, {"a.jpg": b"x", "b.jpg": b"x"})}
    findings = Findings()
    assert with_validation(tables, Options(), findings) == tables
    assert "2 images, but no class has two different pictures" in str(next(iter(findings)))


def test_prepare_imagenet(imagenet_source: Path, tmp_path: Path) -> None:
    shutil.rmtree(imagenet_source / "val")
    result = imagenet_cases.prepare(imagenet_source, tmp_path / "out")
    train, validation = result["splits"]["train"], result["splits"]["validation"]
    assert train["examples"] + validation["examples"] == 36
    assert min(validation["per_class"].values()) > 0
    [finding] = [one for one in result["findings"] if one["code"] == "validation-share"]
    assert finding["count"] == validation["examples"]
    assert "of 36 images were taken for validation" in finding["message"]
    names = [record_names(tmp_path / "out", split) for split in ("train", "validation")]
    assert len(names[0] | names[1]) == 36
    assert not names[0] & names[1]
    assert imagenet_cases.prepare(imagenet_source, tmp_path / "strict", strict=True)["splits"] == result["splits"]
    other = imagenet_cases.prepare(imagenet_source, tmp_path / "none", val_fraction=0)
    assert list(other["splits"]) == ["train"]
    assert other["splits"]["train"]["examples"] == 36
    assert "validation-share" not in {one["code"] for one in other["findings"]}


def record_names(out: Path, split: str) -> set[bytes]:
    paths = shards.find_shards(out, split)
    return {
        tfrecord.decode_example(data)["image/filename"][0] for path in paths for data in tfrecord.read_records(path)
    }


def test_prepare_coco_keeps_each_image_with_its_boxes(coco_source: Path, tmp_path: Path) -> None:
    shutil.rmtree(coco_source / "val2017")
    coco_cases.prepare(coco_source, tmp_path / "whole", val_fraction=0)
    result = coco_cases.prepare(coco_source, tmp_path / "out", val_fraction=0.3)
    split = [coco_cases.examples(tmp_path / "out", split) for split in ("train", "validation")]
    assert split[0] | split[1] == coco_cases.examples(tmp_path / "whole")
    assert split[1]
    assert result["images_in_both_splits"] == 0
    assert min(result["splits"]["validation"]["per_class"].values()) > 0  # each class has boxes there


def test_a_fraction_beside_a_validation_split_is_an_error(imagenet_source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--val-fraction 0.2 .* 12 validation images; leave it out"):
        imagenet_cases.prepare(imagenet_source, tmp_path / "out", val_fraction=0.2)
    assert dataclasses.replace(Options(), val_fraction=0).val_fraction == 0
