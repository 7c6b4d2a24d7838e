"""One shard of a job: its images, its statistics and its journal entry."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from data_prep.classification.source import find_source
from data_prep.images.jpeg import PreparedImage
from data_prep.options import Options
from data_prep.writing.shard_job import BadImageError, Job, Record, ShardId, ShardStatistics, write_shard
from mnasnet_cli.records.tfrecord import decode_example, read_records

SHARD = ShardId("train", 1)


def make_job(source: Path, out: Path, options: Options | None = None) -> Job:
    """36 training images in reversed order and 12 validation images, in 4 and 2 shards."""
    out.mkdir(exist_ok=True)
    orders = {"train": array("I", range(36))[::-1], "validation": array("I", range(12))}
    options = options or Options()
    return Job(find_source(source, options), out, options, {"train": 4, "validation": 2}, orders)


def test_images_of_a_shard(pristine_imagenet: Path, tmp_path: Path) -> None:
    job = make_job(pristine_imagenet, tmp_path)
    assert list(job.image_numbers(SHARD)) == list(range(26, 17, -1))
    assert list(job.image_numbers(ShardId("validation", 1))) == list(range(6, 12))
    assert job.shard_name(SHARD) == "train-00001-of-00004"
    checksum = job.sizes_checksum(SHARD)
    job.source.tables["train"].sizes[0] += 1  # an image of another shard
    assert job.sizes_checksum(SHARD) == checksum
    job.source.tables["train"].sizes[26] += 1
    assert job.sizes_checksum(SHARD) != checksum


def test_entry_of_a_shard(pristine_imagenet: Path, tmp_path: Path) -> None:
    job = make_job(pristine_imagenet, tmp_path)
    progress: list[int] = []
    entry = write_shard(job, SHARD, progress.append)
    path = tmp_path / "train-00001-of-00004"
    assert progress == list(range(1, 10))
    assert (entry["shard"], entry["split"], entry["index"]) == (path.name, "train", 1)
    assert (entry["examples"], entry["bytes"]) == (9, path.stat().st_size)
    assert (entry["labels"], entry["channels"]) == ({3: 3, 2: 6}, {3: 9})
    assert (entry["sides"], entry["bad"]) == ({"width": [32, 32, 288], "height": [32, 32, 288]}, [])
    names = [decode_example(data)["image/filename"][0] for data in read_records(path)]
    assert names == [job.source.tables["train"].name(number).encode() for number in range(26, 17, -1)]


def test_a_bad_image_is_refused_or_skipped(imagenet_source: Path, tmp_path: Path) -> None:
    (imagenet_source / "train/n90000002/n90000002_00011.JPEG").write_text("text")  # number 23
    job = make_job(imagenet_source, tmp_path / "out")
    with pytest.raises(BadImageError, match=r"n90000002_00011\.JPEG: this is text.*--on-bad-image skip"):
        write_shard(job, SHARD, lambda done: None)
    assert not list(job.out.iterdir())
    job = make_job(imagenet_source, tmp_path / "out", Options(on_bad_image="skip"))
    entry = write_shard(job, SHARD, lambda done: None)
    assert entry["examples"] == 8
    assert entry["bad"] == [
        {"file": "train/n90000002/n90000002_00011.JPEG", "reason": "this is text, not an image"},
    ]


def test_statistics_of_boxes() -> None:
    statistics = ShardStatistics()
    image = PreparedImage(b"data", 4, 6, 1, True, "PNG", 6, 6, 4, False)
    assert "boxes" not in statistics.as_dict()
    statistics.add(Record(b"", [1, 1, 2], {"boxes": 3, "crowds": 1}), image)
    statistics.add(Record(b"", [], {"boxes": 0, "crowds": 0}), image._replace(width=8, channels=3, reencoded=False))
    found = statistics.as_dict()
    assert found["labels"] == {1: 2, 2: 1}
    assert found["counts"] == {"boxes": 3, "crowds": 1}
    assert found["boxes"] == {3: 1, 0: 1}
    assert found["sides"] == {"width": [6, 8, 14], "height": [4, 4, 8]}
    assert (found["reencoded"], found["image_bytes"], found["channels"]) == (1, 8, {1: 1, 3: 1})
