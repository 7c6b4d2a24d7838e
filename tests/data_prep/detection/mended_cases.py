"""A drawn source with a training split only, whose annotation file a test changes, and its findings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from coco_cases import change, examples, prepare
from drawn_coco_layouts import coco_2017
from drawn_layouts import DATA_SET

OF_SMALL_SETS = (
    "blank-image", "class-with-few-images", "class-without-training-images", "class-without-validation-images",
    "images-without-boxes", "small-image",
)  # fmt: skip
Content = dict[str, Any]
FIRST = DATA_SET["train"][0]
"""The first image: id 1, with an apple and a plum."""


def write(root: Path, edit: Callable[[Content], object] = lambda content: None) -> Path:
    """Write the source. It has the images 1 to 4 with 5 boxes, of which the third image has none."""
    coco_2017(root, {"train": DATA_SET["train"]})
    change(root, edit)
    return root


def prepare_train(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return prepare(source, out, val_fraction=0, **options)


def in_annotations(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings without those that any set as small as this one has."""
    return [one for one in result["findings"] if one["code"] not in OF_SMALL_SETS]


def findings(result: dict[str, Any]) -> dict[str, int]:
    """Return the counts of these findings by code."""
    return {one["code"]: one["count"] for one in in_annotations(result)}


def boxes(out: Path, split: str = "train") -> dict[int, list[tuple[str, ...]]]:
    """Return class and box (x, y, width, height in px, rounded) of each image by its id."""
    found = {}
    for image_id, row in examples(out, split).items():
        height, width = row["image/height"][0], row["image/width"][0]
        sides = [row[f"image/object/bbox/{side}"] for side in ("xmin", "ymin", "xmax", "ymax")]
        found[image_id] = sorted(
            (text.decode(), round(left * width, 2), round(top * height, 2), round((right - left) * width, 2),
             round((bottom - top) * height, 2))
            for text, left, top, right, bottom in zip(row["image/object/class/text"], *sides, strict=True)
        )  # fmt: skip
    return found
