"""The content of dataset.json, summed over the shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_prep.classification.source import ImagenetSource
from data_prep.writing import summary
from mnasnet_cli.errors import DataError

SOURCE = ImagenetSource(Path("photos"), ["n1", "n2"], ["cat", "dog"], {}, ignored=0)
PLAN = {"train_shards": 2, "seed": 0, "parts": 1}


def entry(split: str, index: int, **changes: Any) -> dict[str, Any]:
    """The journal entry of a shard with two images of class 1."""
    return {
        "shard": f"{split}-{index}", "split": split, "index": index, "examples": 2, "bytes": 100, "digest": f"d{index}",
        "labels": {"1": 2}, "channels": {"3": 2}, "sides": {"width": [10, 30, 40], "height": [5, 5, 10]},
        "reencoded": 1, "image_bytes": 80, "bad": [], **changes,
    }  # fmt: skip


EMPTY = {
    "examples": 0, "labels": {}, "channels": {}, "sides": {"width": [1 << 30, 0, 0], "height": [1 << 30, 0, 0]},
    "reencoded": 0, "image_bytes": 0, "bad": [{"file": "x.jpg", "reason": "the file is empty"}],
}  # fmt: skip


def test_counts_are_summed_in_the_order_of_splits_and_shards() -> None:
    entries = [entry("validation", 0), entry("train", 1, labels={"1": 1, "2": 1}), entry("train", 0)]
    found = summary.summarize(PLAN, SOURCE, entries)
    train = found["splits"]["train"]
    assert list(found["splits"]) == ["train", "validation"]
    assert (train["examples"], train["shards"], train["bytes"]) == (4, 2, 200)
    assert (train["shard_digests"], train["per_class"]) == (["d0", "d1"], {"n1": 3, "n2": 1})
    assert "objects" not in train
    assert found["image_sizes"] == {
        "width": {"min": 10, "mean": 20.0, "max": 30}, "height": {"min": 5, "mean": 5.0, "max": 5},
        "mean_bytes": 40, "channels": {"3": 6},
    }  # fmt: skip
    assert (found["kind"], found["classes"], found["reencoded"], found["plan"]) == ("imagenet", 2, 3, PLAN)


def test_a_shard_without_examples() -> None:
    found = summary.summarize(PLAN, SOURCE, [entry("train", 0), entry("train", 1, **EMPTY)])
    assert found["image_sizes"]["width"] == {"min": 10, "mean": 20.0, "max": 30}
    assert found["bad_files"] == EMPTY["bad"]
    assert found["splits"]["train"]["bad"] == 1
    assert summary.summarize(PLAN, SOURCE, [entry("train", 0, **EMPTY)])["image_sizes"] == {"channels": {}}


def test_boxes() -> None:
    objects = {"counts": {"boxes": 5, "crowds": 1}, "boxes": {"0": 1, "5": 1}}
    found = summary.summarize(PLAN, SOURCE, [entry("train", 0, **objects), entry("train", 1, **EMPTY)])
    assert found["splits"]["train"]["objects"] == {
        "boxes": 5, "crowds": 1, "images_without_boxes": 1, "boxes_per_image": {"min": 0, "mean": 2.5, "max": 5},
    }  # fmt: skip


def test_the_fingerprint_depends_on_the_records_only() -> None:
    def fingerprint(plan: dict[str, Any], **changes: Any) -> str:
        return str(summary.summarize(plan, SOURCE, [entry("train", 0, **changes)])["fingerprint"])

    assert fingerprint(PLAN) == fingerprint(PLAN | {"parts": 7})
    assert fingerprint(PLAN) != fingerprint(PLAN | {"seed": 1})
    assert fingerprint(PLAN) != fingerprint(PLAN, digest="other")


def test_a_stored_summary_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    content = summary.summarize(PLAN, SOURCE, [entry("train", 0)])
    path.write_text(summary.to_json(content))
    assert summary.load(tmp_path) == json.loads(path.read_text()) == content
    assert len(path.read_text().splitlines()) == len(content) + 2  # one line per key
    for text in ("", "[]", '{"splits": {}}'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"dataset\.json .*; write the records again"):
            summary.load(tmp_path)
