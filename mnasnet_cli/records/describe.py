"""What record files hold, those of other programs included; for `mnasnet inspect`."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info, shards
from mnasnet_cli.records import keys as records_keys
from mnasnet_cli.records.keys import AREA, BOX_SIDES, IS_CROWD, OBJECT_LABEL, OBJECT_TEXT
from mnasnet_cli.records.tfrecord import count_records, decode_example, read_records

Features = dict[str, Any]

SUFFIXES = (".tfrecord", ".tfrecords", ".record")
FIRST = 5  # records shown one by one
KEY_SAMPLE = 100  # records whose keys are looked at where dataset.json gives the counts


def is_record_file(path: Path) -> bool:
    """Tell whether a file is named like a record file, so that damage gets reported, or begins like one."""
    if shards.split_name(path.name) or path.suffix in SUFFIXES:
        return True
    try:
        next(read_records(path), None)
    except DataError:
        return False
    return path.stat().st_size > 0


def has_records(folder: Path) -> bool:
    """Tell whether a folder holds record files, by their names."""
    return bool(shards.shard_groups(folder)) or any(file.suffix in SUFFIXES for file in folder.iterdir())


def record_files(path: Path) -> dict[str, list[Path]]:
    """Return split → record files of a file or folder; {} where there are none. Raises DataError for missing shards."""
    if path.is_file():
        return {shards.split_name(path.name) or path.name: [path]}
    groups = shards.shard_groups(path)
    if groups:
        return {split: shards.find_shards(path, split) for split in sorted({name for name, _ in groups})}
    others = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    return {file.name: [file] for file in others}


def describe(path: Path, *, on_progress: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Return what records hold: splits, counts by class, image sizes, keys, first records.

    A folder with a dataset.json is taken at its word; of others every record is read and held against its checksum.
    on_progress(done, total) counts records.
    """
    files = record_files(path)
    info = dataset_info.load_dataset_info(path) if (path / shards.DATASET_FILE).is_file() else None
    labels = path / shards.LABELS_FILE if path.is_dir() else path.parent / shards.LABELS_FILE
    synsets, texts = dataset_info.read_labels(labels)
    counts = {split: [count_records(file) for file in paths] for split, paths in files.items()}
    total = sum(map(sum, counts.values()))
    survey = _Survey()
    done = 0
    for split, paths in files.items():
        for file in paths:
            for number, features in enumerate(examples(file)):
                if info and number >= KEY_SAMPLE // len(paths) + 1:
                    break
                survey.add(split, features)
                done += 1
                if not info:
                    on_progress(done, total)
    per_class = {split: _named(counter, synsets) for split, counter in survey.per_class.items()}
    return {
        "what": "records",
        "kind": info.kind if info else survey.kind(),
        "path": str(path),
        "classes": info.classes if info else survey.classes(),
        "splits": {
            split: {
                "examples": sum(counts[split]),
                "shards": len(paths),
                "shard_bytes": _spread([file.stat().st_size for file in paths]),
                "shard_examples": _spread(counts[split]),
                "per_class": dict(info.splits[split].per_class) if info else per_class.get(split, {}),
                "objects": dict(info.splits[split].objects) if info else survey.objects(split),
            }
            for split, paths in files.items()
        },
        "image_sizes": dict(info.image_sizes) if info else survey.sizes(),
        "keys": survey.keys(),
        "first": survey.first,
        "texts": dict(zip(synsets, texts, strict=True)),
        "fingerprint": info.fingerprint if info else None,
        "bad_files": list(info.bad_files) if info else [],
    }


def examples(path: Path) -> Iterator[Features]:
    """Yield the examples of a record file. Raises DataError where it holds something else."""
    for number, data in enumerate(read_records(path)):
        try:
            yield decode_example(data)
        except ValueError as error:
            raise DataError(f"{path}: record {number} is no tf.train.Example") from error


def _named(counter: Counter[Any], synsets: tuple[str, ...]) -> dict[str, int]:
    """Turn label counts into counts by synset or category id, or by number or text where that isn't known."""
    return {
        synsets[label - 1] if isinstance(label, int) and 0 < label <= len(synsets) else str(label): count
        for label, count in sorted(counter.items(), key=lambda item: (isinstance(item[0], str), item[0]))
    }


def _spread(values: list[int]) -> dict[str, int]:
    return {"min": min(values), "max": max(values), "total": sum(values)}


class _Survey:
    """Gathers what the examples have in common."""

    def __init__(self) -> None:
        self.per_class: dict[str, Counter[Any]] = {}
        self._objects: dict[str, Counter[str]] = {}
        self._boxes: dict[str, Counter[int]] = {}  # split → boxes in an image → images
        self.first: list[dict[str, Any]] = []
        self._keys: dict[str, dict[str, Any]] = {}
        self._sides: dict[str, list[int]] = {"width": [], "height": []}
        self._examples = 0

    def add(self, split: str, features: Features) -> None:
        """Note one example."""
        self._examples += 1
        texts = [text.decode("utf-8", "replace") for text in features.get(OBJECT_TEXT, [])]
        labels = features.get(records_keys.LABEL) or features.get(OBJECT_LABEL) or texts
        self.per_class.setdefault(split, Counter()).update(labels)
        for key, values in features.items():
            entry = self._keys.setdefault(key, {"type": None, "examples": 0, "min": len(values), "max": 0})
            if values:
                entry["type"] = {bytes: "bytes", int: "int64", float: "float"}[type(values[0])]
            entry["examples"] += 1
            entry["min"], entry["max"] = min(entry["min"], len(values)), max(entry["max"], len(values))
        width, height = size_of(features)
        self._sides["width"].append(width)
        self._sides["height"].append(height)
        if BOX_SIDES[0] in features:
            self._objects.setdefault(split, Counter()).update(_object_counts(features, width, height))
            self._boxes.setdefault(split, Counter())[len(features[BOX_SIDES[0]])] += 1
        if len(self.first) < FIRST:
            self.first.append(
                {"split": split, "filename": text_of(features, records_keys.FILENAME), "labels": list(labels[:10]),
                 "text": text_of(features, records_keys.TEXT) or ", ".join(dict.fromkeys(texts)),
                 "width": width, "height": height, "bytes": sum(map(len, features.get(records_keys.ENCODED, [])))}
            )  # fmt: skip

    def kind(self) -> str:
        """Return imagenet, coco or unknown."""
        return "imagenet" if records_keys.LABEL in self._keys else "coco" if self._boxes else "unknown"

    def classes(self) -> int:
        """Return the highest label, or the number of texts where there are no labels."""
        every = {label for counter in self.per_class.values() for label in counter}
        return max((label for label in every if isinstance(label, int)), default=len(every))

    def objects(self, split: str) -> dict[str, Any]:
        """Return what there is to know of a split's boxes, as dataset.json has it; {} where there are none."""
        counts, images = self._objects.get(split), self._boxes.get(split)
        if counts is None or images is None:
            return {}
        mean = round(counts["boxes"] / images.total(), 2)
        spread = {"min": min(images), "mean": mean, "max": max(images)}
        return {**counts, "images_without_boxes": images[0], "boxes_per_image": spread}

    def sizes(self) -> dict[str, Any]:
        """Return min, mean and max of width and height in px."""
        known = {side: [value for value in values if value] for side, values in self._sides.items()}
        return {
            side: {"min": min(values), "mean": round(sum(values) / len(values), 1), "max": max(values)}
            for side, values in known.items()
            if values
        }

    def keys(self) -> list[dict[str, Any]]:
        """Return each key with its type, the share of examples that have it, and how many values it holds."""
        return [
            {"key": key, "type": entry["type"] or "empty", "share": entry["examples"] / self._examples,
             "values": [entry["min"], entry["max"]]}
            for key, entry in sorted(self._keys.items())
        ]  # fmt: skip


def _object_counts(features: Features, width: int, height: int) -> dict[str, int]:
    """Count the boxes of an example: in all, crowds, and by COCO's sizes."""
    boxes = list(zip(*(features.get(side, []) for side in BOX_SIDES), strict=False))
    areas = features.get(AREA) or [(box[2] - box[0]) * height * (box[3] - box[1]) * width for box in boxes]
    small, medium = (sum(area < limit for area in areas) for limit in records_keys.AREA_LIMITS)
    sizes = {"small": small, "medium": medium - small, "large": len(areas) - medium}
    return {"boxes": len(boxes), "crowds": sum(features.get(IS_CROWD, [])), **sizes}


def text_of(features: Features, key: str) -> str:
    """Return a bytes feature's first value as text, "" where there is none."""
    values = features.get(key) or [b""]
    return values[0].decode("utf-8", "replace") if isinstance(values[0], bytes) else str(values[0])


def size_of(features: Features) -> tuple[int, int]:
    """Return (width, height) in px: as the record says, else from the image; (0, 0) where neither does."""
    width, height = features.get(records_keys.WIDTH), features.get(records_keys.HEIGHT)
    if width and height:
        return int(width[0]), int(height[0])
    encoded = features.get(records_keys.ENCODED)
    if not encoded:
        return 0, 0
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(encoded[0])) as image:
            return image.size
    except (UnidentifiedImageError, OSError):
        return 0, 0
