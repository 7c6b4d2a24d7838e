"""The numbers of a data set's health: images and boxes by class and split, and sizes."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.facts import NO_LABEL, Facts
from mnasnet_cli.records.dataset_info import DatasetInfo, SplitInfo
from mnasnet_cli.records.keys import AREA_LIMITS

# The sizes that the shipped recipes train at, in px: `retinanet` and `lite`; `paper`.
DETECTION_SIZES = (640, 320)
CLASSIFICATION_SIZE = 224
TINY = 8  # px; the side of one cell of the finest level of a detector
QUANTILES = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}


def summarize(collection: Collection) -> dict[str, Any]:
    """Return the numbers of each split, without those of single classes, as dataset.json holds them."""
    return {split: _summarize_split(collection, split) for split in collection.splits}


def class_table(collection: Collection) -> list[dict[str, Any]]:
    """Return each class with its key, its name, and its numbers of images and boxes in each split."""
    images = {split: collection.images_by_class(split) for split in collection.splits}
    boxes = {split: Counter(part.facts.columns["box_label"]) for split, part in collection.splits.items()}
    rows = []
    for label, (key, name) in enumerate(zip(collection.keys, collection.texts, strict=True), 1):
        counts = {
            split: {"images": images[split][label]}
            | ({"boxes": boxes[split][label]} if collection.has_boxes else {})
            for split in collection.splits
        }  # fmt: skip
        rows.append({"class": key, "name": name, "splits": counts})
    return rows


def dataset_info(collection: Collection, directory: Path) -> DatasetInfo:
    """Return the counts of a data set in the form of a dataset.json, without a fingerprint."""
    splits = {}
    for split, part in collection.splits.items():
        columns = part.facts.columns
        labels = Counter(columns["box_label" if collection.has_boxes else "label"])
        per_class = {
            collection.keys[label - 1] if 0 < label <= len(collection.keys) else str(label): count
            for label, count in sorted(labels.items())
            if label != NO_LABEL
        }
        lengths = tuple(end - start for start, end in pairwise([0, *part.ends]))
        splits[split] = SplitInfo(
            len(part.facts), lengths, per_class, _objects(part.facts) if collection.has_boxes else {}
        )
    sides = {
        side: [value for part in collection.splits.values() for value in part.facts.columns[side] if value]
        for side in ("width", "height")
    }  # fmt: skip
    sizes = {
        side: {"min": min(values), "mean": round(sum(values) / len(values), 1), "max": max(values)}
        for side, values in sides.items() if values
    }  # fmt: skip
    keys, texts = tuple(collection.keys), tuple(collection.texts)
    return DatasetInfo(directory, collection.kind, len(keys), splits, "", keys, texts, sizes)


def _objects(facts: Facts) -> dict[str, Any]:
    """Return the counts of boxes as dataset.json has them."""
    found = _summarize_boxes(facts)
    counts = {key: found[key] for key in ("boxes", "crowds", "small", "medium", "large", "images_without_boxes")}
    spread = found["boxes_per_image"]
    mean = round(found["boxes"] / max(1, len(facts)), 2)
    return counts | {"boxes_per_image": {"min": spread.get("min", 0), "mean": mean, "max": spread.get("max", 0)}}


def _summarize_split(collection: Collection, split: str) -> dict[str, Any]:
    facts = collection.splits[split].facts
    per_class = [count for label, count in collection.images_by_class(split).items() if label > 0 and count]
    columns = facts.columns
    ratios: Counter[float] = Counter()
    for size, count in image_sizes(facts).items():
        ratios[aspect_ratio(size)] += count
    numbers: dict[str, Any] = {
        "images": len(facts),
        "classes": len(per_class),
        "images_per_class": {"min": min(per_class, default=0), "max": max(per_class, default=0)},
        "width": quantiles(columns["width"]),
        "height": quantiles(columns["height"]),
        "aspect_ratio": quantiles(ratios),
        "bytes_per_pixel": quantiles(bytes_per_pixel(facts)),
        "channels": {str(channels): count for channels, count in sorted(Counter(columns["channels"]).items())},
    }
    return numbers | ({"boxes": _summarize_boxes(facts)} if collection.has_boxes else {})


def _summarize_boxes(facts: Facts) -> dict[str, Any]:
    columns = facts.columns
    areas, counts = columns["box_area"], Counter(max(count, 0) for count in columns["boxes"])
    below_32, below_96 = (sum(area < limit for area in areas) for limit in AREA_LIMITS)
    tiny = {size: count_tiny(facts, size) for size in DETECTION_SIZES}
    total = len(areas)
    return {
        "boxes": total,
        "crowds": sum(columns["box_crowd"]),
        "small": below_32,
        "medium": below_96 - below_32,
        "large": total - below_96,
        "images_without_boxes": counts[0],
        "boxes_per_image": quantiles(counts.elements()),
        "under_8_px": {
            str(size): {"boxes": count, "share": round(count / total, 4) if total else 0.0}
            for size, count in tiny.items()
        },
    }


def count_tiny(facts: Facts, size: int) -> int:
    """Return the number of boxes whose shorter side is under TINY px in an image that is resized to size × size px."""
    limit = TINY / size
    columns = facts.columns
    return sum(
        width < limit or height < limit
        for width, height in zip(columns["box_width"], columns["box_height"], strict=True)
    )  # fmt: skip


def image_sizes(facts: Facts) -> Counter[tuple[int, int]]:
    """Return (width, height) in px → number of images."""
    return Counter(zip(facts.columns["width"], facts.columns["height"], strict=True))


def aspect_ratio(size: tuple[int, int]) -> float:
    """Return the longer side divided by the shorter one, 0 where the size is unknown."""
    return round(max(size) / min(size), 3) if all(size) else 0.0


def bytes_per_pixel(facts: Facts) -> Iterator[float]:
    """Yield the bytes of each encoded image divided by its pixels, 0 where the size is unknown."""
    columns = facts.columns
    rows = zip(columns["size"], columns["width"], columns["height"], strict=True)
    return (round(size / (width * height), 4) if width and height else 0.0 for size, width, height in rows)


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Return minimum, 5 %, median, 95 % and maximum of values, or of value → count; {} if there are none."""
    counts = sorted(Counter(values).items())  # far fewer values than images
    ends = list(accumulate(count for _, count in counts))
    last = ends[-1] - 1 if ends else -1
    return {name: counts[bisect_right(ends, round(share * last))][0] for name, share in QUANTILES.items() if ends}
