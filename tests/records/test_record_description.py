"""The description of record files, for `mnasnet inspect`."""

from __future__ import annotations

from pathlib import Path

import pytest
from record_cases import (
    IMAGENET_RECORD,
    NO_OBJECTS,
    coco_record,
    foreign_coco_record,
    foreign_imagenet_record,
    jpeg,
    write,
)

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import describe, keys
from mnasnet_cli.records.tfrecord import encode_example


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("train-00000-of-00001", b"damaged", True),
        ("some.tfrecord", b"damaged", True),
        ("some.txt", b"text", False),
        ("some.txt", b"", False),
        ("some.txt", None, True),
    ],
)
def test_record_files_by_name_and_content(tmp_path: Path, name: str, data: bytes | None, expected: bool) -> None:
    path = tmp_path / name
    write(path, b"record") if data is None else path.write_bytes(data)
    assert describe.is_record_file(path) == expected


def test_files_of_a_folder(tmp_path: Path) -> None:
    assert describe.record_files(tmp_path) == {}
    assert not describe.has_records(tmp_path)
    other = write(tmp_path / "some.record", b"")
    assert describe.has_records(tmp_path)
    assert describe.record_files(tmp_path) == {"some.record": [other]}
    assert describe.record_files(other) == {"some.record": [other]}
    shards = [write(tmp_path / f"train-0000{index}-of-00002", b"") for index in (0, 1)]
    assert describe.record_files(tmp_path) == {"train": shards}
    assert describe.record_files(shards[1]) == {"train": [shards[1]]}
    shards[0].unlink()
    with pytest.raises(DataError, match="train-00000-of-00002"):
        describe.record_files(tmp_path)


def test_imagenet_records(tmp_path: Path) -> None:
    path = write(tmp_path / "some.tfrecord", IMAGENET_RECORD, IMAGENET_RECORD, foreign_imagenet_record(7))
    progress: list[tuple[int, int]] = []
    found = describe.describe(path, on_progress=lambda done, total: progress.append((done, total)))
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert (found["kind"], found["classes"]) == ("imagenet", 300)
    split = found["splits"]["some.tfrecord"]
    assert (split["examples"], split["per_class"], split["objects"]) == (3, {"7": 1, "300": 2}, {})
    assert found["image_sizes"]["width"] == {"min": 70_000, "mean": 70_000.0, "max": 70_000}  # of those that have one
    shares = {entry["key"]: entry["share"] for entry in found["keys"]}
    assert (shares[keys.LABEL], shares[keys.SYNSET]) == (1.0, pytest.approx(2 / 3))
    assert found["first"][0] == {
        "split": "some.tfrecord", "filename": "a.JPEG", "labels": [300], "text": "tench, Tinca tinca",
        "width": 70_000, "height": 224, "bytes": 768,
    }  # fmt: skip


def test_coco_records(tmp_path: Path) -> None:
    path = write(tmp_path / "some.tfrecord", coco_record(), coco_record(**NO_OBJECTS), foreign_coco_record())
    found = describe.describe(path)
    assert (found["kind"], found["classes"]) == ("coco", 3)
    split = found["splits"]["some.tfrecord"]
    assert split["per_class"] == {"1": 1, "3": 1, "cat": 1, "dog": 1}  # foreign records have texts only
    assert split["objects"] == {
        "boxes": 4, "crowds": 1, "small": 4, "medium": 0, "large": 0, "images_without_boxes": 1,
        "boxes_per_image": {"min": 0, "mean": 1.33, "max": 2},
    }  # fmt: skip


def test_sizes_come_from_the_record_or_the_image() -> None:
    assert describe.size_of({keys.WIDTH: [4], keys.HEIGHT: [3], keys.ENCODED: [jpeg(40, 30)]}) == (4, 3)
    assert describe.size_of({keys.ENCODED: [jpeg(40, 30)]}) == (40, 30)
    assert describe.size_of({keys.ENCODED: [b"not an image"]}) == (0, 0)
    assert describe.size_of({}) == (0, 0)


def test_other_messages_are_not_examples(tmp_path: Path) -> None:
    path = write(tmp_path / "some.tfrecord", encode_example({}), b"not an example")
    with pytest.raises(DataError, match=r"some\.tfrecord: record 1 .*tf\.train\.Example"):
        describe.describe(path)
