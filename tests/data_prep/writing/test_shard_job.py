"""One shard of a job: its images, its statistics and its journal entry."""

from __future__ import annotations

import copy
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep.classification.source import find_source
from data_prep.images.prepared_image import PreparedImage
from data_prep.options import Options
from data_prep.writing.pieces import Joiner, Piece, in_pieces, write_piece
from data_prep.writing.shard_job import BadImageError, Job, Record, ShardId, ShardStatistics
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


def write_shard(job: Job, report: Callable[[int], None], pieces: int = 1) -> dict[str, Any]:
    """Write SHARD and return its journal entry. The pieces arrive in reversed order."""
    entries: list[dict[str, Any]] = []
    joiner = Joiner(job, entries.append)
    for number in reversed(range(pieces)):
        assert not entries
        joiner.add(write_piece(job, Piece(SHARD, number, pieces), report))
    [entry] = entries
    return entry


def test_entry_of_a_shard(pristine_imagenet: Path, tmp_path: Path) -> None:
    job = make_job(pristine_imagenet, tmp_path)
    progress: list[int] = []
    entry = write_shard(job, progress.append)
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
        write_shard(job, lambda done: None)
    assert not list(job.out.iterdir())
    job = make_job(imagenet_source, tmp_path / "out", Options(on_bad_image="skip"))
    entry = write_shard(job, lambda done: None)
    assert entry["examples"] == 8
    assert entry["bad"] == [
        {"file": "train/n90000002/n90000002_00011.JPEG", "reason": "this is text, not an image"},
    ]


@pytest.mark.parametrize("pieces", [2, 3, 9])
def test_a_shard_of_several_pieces_is_the_same(pristine_imagenet: Path, tmp_path: Path, pieces: int) -> None:
    whole = make_job(pristine_imagenet, tmp_path / "whole")
    expected = write_shard(whole, lambda done: None)
    job = make_job(pristine_imagenet, tmp_path / "pieces")
    assert write_shard(job, lambda done: None, pieces) == expected
    [path] = job.out.iterdir()
    assert path.read_bytes() == (whole.out / path.name).read_bytes()


def test_number_of_pieces(pristine_imagenet: Path, tmp_path: Path) -> None:
    job = make_job(pristine_imagenet, tmp_path)
    job.orders = {"train": array("I", range(4000)), "validation": array("I", range(100))}
    shards = [*(ShardId("train", number) for number in range(4)), ShardId("validation", 0)]
    assert in_pieces(job, shards, 1) == [Piece(shard) for shard in shards]  # one worker needs no pieces
    pieces = in_pieces(job, shards, 2)
    assert len(pieces) == 4 * 3 + 1
    assert pieces[2] == Piece(shards[0], 2, 3)
    assert len(in_pieces(job, [shards[-1]], 64)) == 4  # each has some images


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
    statistics.merge(ShardStatistics())
    assert statistics.as_dict() == found
    statistics.merge(copy.deepcopy(statistics))
    twice = statistics.as_dict()
    assert (twice["labels"], twice["counts"]) == ({1: 4, 2: 2}, {"boxes": 6, "crowds": 2})
    assert (twice["sides"]["width"], twice["image_bytes"]) == ([6, 8, 28], 16)
