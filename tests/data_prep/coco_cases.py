"""Short runs of `prepare_coco`: helpers to edit annotation files and to read the records."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.coco import prepare_coco
from data_prep.options import CocoOptions
from mnasnet_cli.records import shards, tfrecord

SMALL = CocoOptions(train_shards=3, val_shards=2, workers=1)
Content = dict[str, Any]


def prepare(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return prepare_coco(source, out, dataclasses.replace(SMALL, **options))


def annotations(source: Path, split: str = "train") -> Path:
    return source / "annotations" / f"instances_{split}2017.json"


def change(source: Path, edit: Callable[[Content], object], split: str = "train") -> None:
    """Edit the content of an annotation file."""
    content = json.loads(annotations(source, split).read_text())
    edit(content)
    annotations(source, split).write_text(json.dumps(content))


def examples(out: Path, split: str = "train") -> dict[int, dict[str, Any]]:
    """Return the records by image id."""
    rows = [
        tfrecord.decode_example(data) for path in shards.find_shards(out, split) for data in tfrecord.read_records(path)
    ]
    found = {int(row["image/source_id"][0]): row for row in rows}
    assert len(found) == len(rows)
    return found
