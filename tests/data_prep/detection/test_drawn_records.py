"""One drawn data set in all layouts gives the same boxes, to 0.01 px, and the same dataset.json but for names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from coco_cases import prepare
from drawn_coco_layouts import SPLIT, UNSPLIT, Writer, coco_2017
from drawn_layouts import CLASSES, DATA_SET, WITH_SPLITS, WITHOUT, WITHOUT_SPLITS, DataSet, Write

from mnasnet_cli.records import shards, tfrecord

NAMED = ("fingerprint", "plan", "layout", "findings", "categories")  # of dataset.json: what depends on names


def boxes(out: Path, split: str) -> dict[str, list[Any]]:
    """Return the boxes in px of each picture, by the picture's content: (class name, ymin, xmin, ymax, xmax)."""
    found = {}
    for path in shards.find_shards(out, split):
        for row in map(tfrecord.decode_example, tfrecord.read_records(path)):
            sides = [row[f"image/object/bbox/{side}"] for side in ("ymin", "xmin", "ymax", "xmax")]
            scale = [row["image/height"][0], row["image/width"][0]] * 2
            texts = row["image/object/class/text"]
            found[hashlib.sha256(row["image/encoded"][0]).hexdigest()] = sorted(
                (text, *(side[place] * one for side, one in zip(sides, scale, strict=True)))
                for place, text in enumerate(texts)
            )
    return found


def summary(result: dict[str, Any]) -> dict[str, Any]:
    splits = {}
    for name, split in result["splits"].items():
        kept = {key: value for key, value in split.items() if key not in ("shard_digests", "bytes")}
        splits[name] = kept | {"per_class": list(split["per_class"].values())}
    return {key: value for key, value in result.items() if key not in (*NAMED, "ignored_files")} | {"splits": splits}


def check(write: Writer, data_set: DataSet, root: Path) -> None:
    expected = prepare(coco_2017(root / "plain", data_set), root / "expected")
    result = prepare(write(root / "source", data_set), root / "out")
    assert summary(result) == summary(expected)
    assert [category["name"] for category in result["categories"]] == list(CLASSES)
    for split in expected["splits"]:
        found, wanted = boxes(root / "out", split), boxes(root / "expected", split)
        assert found.keys() == wanted.keys()
        for picture, rows in wanted.items():
            assert [row[0] for row in found[picture]] == [row[0] for row in rows]
            for one, other in zip(found[picture], rows, strict=True):
                assert one[1:] == pytest.approx(other[1:], abs=0.01)


@pytest.mark.parametrize("write", SPLIT, ids=lambda write: write.__name__)
def test_layouts_with_splits(write: Writer, tmp_path: Path) -> None:
    check(write, DATA_SET, tmp_path)


@pytest.mark.parametrize("write", UNSPLIT, ids=lambda write: write.__name__)
def test_layouts_without_splits(write: Writer, tmp_path: Path) -> None:
    check(write, WITHOUT_SPLITS, tmp_path)


def other_formats(writers: dict[str, Write]) -> list[Any]:
    """Return the writers of other formats than COCO as writers that return SOURCE."""

    def with_source(write: Write) -> Writer:
        def run(root: Path, data_set: DataSet) -> Path:
            write(root)
            return root

        return run

    return [pytest.param(with_source(write), id=name) for name, write in writers.items()]


@pytest.mark.parametrize("write", other_formats(WITH_SPLITS))
def test_other_formats_with_splits(write: Writer, tmp_path: Path) -> None:
    check(write, DATA_SET, tmp_path)


@pytest.mark.parametrize("write", other_formats(WITHOUT))
def test_other_formats_without_splits(write: Writer, tmp_path: Path) -> None:
    check(write, WITHOUT_SPLITS, tmp_path)
