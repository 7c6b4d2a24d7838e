"""Describes the content of record files, also those of other programs, for `mnasnet inspect`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info, keys, shards
from mnasnet_cli.records.dataset_info import DatasetInfo
from mnasnet_cli.records.image_header import read_stored_header, stored_orientation
from mnasnet_cli.records.keys import AREA, BOX_SIDES, IS_CROWD, OBJECT_LABEL, OBJECT_TEXT
from mnasnet_cli.records.orientation import UPRIGHT
from mnasnet_cli.records.tfrecord import count_records, decode_example, read_records

Features = dict[str, Any]

SUFFIXES = (".tfrecord", ".tfrecords", ".record")
FIRST_RECORDS = 5  # that are described one by one
SAMPLE = 100  # records that are read per split if dataset.json has the counts


def is_record_file(path: Path) -> bool:
    """Tell whether a file has the name of a record file, even if it is damaged, or starts like one."""
    if shards.split_name(path.name) or path.suffix in SUFFIXES:
        return True
    try:
        next(read_records(path), None)
    except DataError:
        return False
    return path.stat().st_size > 0


def has_records(folder: Path) -> bool:
    """Tell whether a folder contains record files, by their names."""
    return bool(shards.shard_groups(folder)) or any(file.suffix in SUFFIXES for file in folder.iterdir())


def record_files(path: Path) -> dict[str, list[Path]]:
    """Return split → record files of a file or folder, {} if there are none. Raises DataError if shards are missing."""
    if path.is_file():
        return {shards.split_name(path.name) or path.name: [path]}
    groups = shards.shard_groups(path)
    if groups:
        return {split: shards.find_shards(path, split) for split in sorted({name for name, _ in groups})}
    others = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    return {file.name: [file] for file in others}


def describe(
    path: Path,
    *,
    info: DatasetInfo | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return the content of records: splits, counts per class, image sizes, keys, first records.

    `turned_images` counts the images whose EXIF orientation is not 1, among those that are `examined`.

    The counts are those of `info`, or of the dataset.json in a folder; then few records are read. Otherwise all records
    are read, their checksums are verified, and on_progress(done, total) is called with numbers of records.
    """
    files = record_files(path)
    if info is None and (path / shards.DATASET_FILE).is_file():
        info = dataset_info.load_dataset_info(path)
    labels = path / shards.LABELS_FILE if path.is_dir() else path.parent / shards.LABELS_FILE
    synsets, texts = dataset_info.read_labels(labels)
    counts = {split: [count_records(file) for file in paths] for split, paths in files.items()}
    total = sum(map(sum, counts.values()))
    statistics = _Statistics()
    done = 0
    for split, paths in files.items():
        for file in paths:
            for number, features in enumerate(examples(file)):
                if info and number >= SAMPLE // len(paths) + 1:
                    break
                statistics.add(split, features)
                done += 1
                if not info:
                    on_progress(done, total)
    per_class = {split: _counts_by_class(counter, synsets) for split, counter in statistics.per_class.items()}
    return {
        "what": "records",
        "kind": info.kind if info else statistics.kind(),
        "path": str(path),
        "classes": info.classes if info else statistics.classes(),
        "splits": {
            split: {
                "examples": sum(counts[split]),
                "shards": len(paths),
                "shard_bytes": _min_max_total([file.stat().st_size for file in paths]),
                "shard_examples": _min_max_total(counts[split]),
                "per_class": dict(info.splits[split].per_class) if info else per_class.get(split, {}),
                "objects": dict(info.splits[split].objects) if info else statistics.objects(split),
            }
            for split, paths in files.items()
        },
        "turned_images": {"examined": done, "turned": statistics.turned},
        "image_sizes": dict(info.image_sizes) if info else statistics.sizes(),
        "keys": statistics.keys(),
        "first": statistics.first,
        "texts": dict(zip(synsets, texts, strict=True)),
        "fingerprint": info.fingerprint or None if info else None,
        "bad_files": list(info.bad_files) if info else [],
    }


def examples(path: Path) -> Iterator[Features]:
    """Yield the examples of a record file. Raises DataError if it contains something else."""
    for number, data in enumerate(read_records(path)):
        try:
            yield decode_example(data)
        except ValueError as error:
            raise DataError(f"{path}: record {number} is not a tf.train.Example") from error


def _counts_by_class(counter: Counter[Any], synsets: tuple[str, ...]) -> dict[str, int]:
    """Return counts by synset or category id, or by label or text if these are unknown."""
    return {
        synsets[label - 1] if isinstance(label, int) and 0 < label <= len(synsets) else str(label): count
        for label, count in sorted(counter.items(), key=lambda item: (isinstance(item[0], str), item[0]))
    }


def _min_max_total(values: list[int]) -> dict[str, int]:
    return {"min": min(values), "max": max(values), "total": sum(values)}


class _Statistics:
    """Statistics of the examples of record files."""

    def __init__(self) -> None:
        self.per_class: dict[str, Counter[Any]] = {}
        self._objects: dict[str, Counter[str]] = {}
        self._boxes: dict[str, Counter[int]] = {}  # split → number of boxes → number of images
        self.first: list[dict[str, Any]] = []
        self.turned = 0  # images whose EXIF orientation is not 1
        self._keys: dict[str, dict[str, Any]] = {}
        self._sides: dict[str, list[int]] = {"width": [], "height": []}
        self._examples = 0

    def add(self, split: str, features: Features) -> None:
        """Add one example."""
        self._examples += 1
        texts = [text.decode("utf-8", "replace") for text in features.get(OBJECT_TEXT, [])]
        labels = features.get(keys.LABEL) or features.get(OBJECT_LABEL) or texts
        self.per_class.setdefault(split, Counter()).update(labels)
        for key, values in features.items():
            entry = self._keys.setdefault(key, {"type": None, "examples": 0, "min": len(values), "max": 0})
            if values:
                entry["type"] = {bytes: "bytes", int: "int64", float: "float"}[type(values[0])]
            entry["examples"] += 1
            entry["min"], entry["max"] = min(entry["min"], len(values)), max(entry["max"], len(values))
        self.turned += any(stored_orientation(encoded) != UPRIGHT for encoded in features.get(keys.ENCODED, ()))
        width, height = size_of(features)
        self._sides["width"].append(width)
        self._sides["height"].append(height)
        if BOX_SIDES[0] in features:
            self._objects.setdefault(split, Counter()).update(_object_counts(features, width, height))
            self._boxes.setdefault(split, Counter())[len(features[BOX_SIDES[0]])] += 1
        if len(self.first) < FIRST_RECORDS:
            self.first.append(
                {"split": split, "filename": text_of(features, keys.FILENAME), "labels": list(labels[:10]),
                 "text": text_of(features, keys.TEXT) or ", ".join(dict.fromkeys(texts)),
                 "width": width, "height": height, "bytes": sum(map(len, features.get(keys.ENCODED, [])))}
            )  # fmt: skip

    def kind(self) -> str:
        """Return imagenet, coco or unknown."""
        return "imagenet" if keys.LABEL in self._keys else "coco" if self._boxes else "unknown"

    def classes(self) -> int:
        """Return the highest label, or the number of texts if there are no labels."""
        labels = {label for counter in self.per_class.values() for label in counter}
        return max((label for label in labels if isinstance(label, int)), default=len(labels))

    def objects(self, split: str) -> dict[str, Any]:
        """Return the counts of a split's boxes, as in dataset.json; {} if no image has any."""
        counts, images = self._objects.get(split), self._boxes.get(split)
        if counts is None or images is None:
            return {}
        mean = round(counts["boxes"] / images.total(), 2)
        boxes_per_image = {"min": min(images), "mean": mean, "max": max(images)}
        return {**counts, "images_without_boxes": images[0], "boxes_per_image": boxes_per_image}

    def sizes(self) -> dict[str, Any]:
        """Return minimum, mean and maximum of width and height in px."""
        known = {side: [value for value in values if value] for side, values in self._sides.items()}
        return {
            side: {"min": min(values), "mean": round(sum(values) / len(values), 1), "max": max(values)}
            for side, values in known.items()
            if values
        }

    def keys(self) -> list[dict[str, Any]]:
        """Return each key with its type, the share of examples that have it, and its minimum and maximum length."""
        return [
            {"key": key, "type": entry["type"] or "empty", "share": entry["examples"] / self._examples,
             "values": [entry["min"], entry["max"]]}
            for key, entry in sorted(self._keys.items())
        ]  # fmt: skip


def _object_counts(features: Features, width: int, height: int) -> dict[str, int]:
    """Count the boxes of an example: all, crowds, and per size as COCO defines it."""
    boxes = list(zip(*(features.get(side, []) for side in BOX_SIDES), strict=False))
    areas = features.get(AREA) or [(box[2] - box[0]) * height * (box[3] - box[1]) * width for box in boxes]
    below_32, below_96 = (sum(area < limit for area in areas) for limit in keys.AREA_LIMITS)
    sizes = {"small": below_32, "medium": below_96 - below_32, "large": len(areas) - below_96}
    return {"boxes": len(boxes), "crowds": sum(features.get(IS_CROWD, [])), **sizes}


def text_of(features: Features, key: str) -> str:
    """Return the first value of a bytes feature as text, "" if there is none."""
    values = features.get(key) or [b""]
    return values[0].decode("utf-8", "replace") if isinstance(values[0], bytes) else str(values[0])


def size_of(features: Features) -> tuple[int, int]:
    """Return (width, height) in px: from the record, else from its image; (0, 0) if both fail."""
    width, height = features.get(keys.WIDTH), features.get(keys.HEIGHT)
    if width and height:
        return int(width[0]), int(height[0])
    encoded = features.get(keys.ENCODED)
    if not encoded:
        return 0, 0
    header = read_stored_header(encoded[0])
    return (header.width, header.height) if header else (0, 0)
