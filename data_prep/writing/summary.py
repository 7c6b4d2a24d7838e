"""The content of dataset.json: counts per class, image sizes and bad files, summed over the shards."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_prep.writing.shard_job import SIDES, Source
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.dataset_file import REMEDY, read_dataset_file
from mnasnet_cli.records.shards import DATASET_FILE, SPLITS

VERSION = 1
CHANGES = ("reencoded", "turned", "converted")  # numbers of images; older journals have the first only


def summarize(plan: Mapping[str, Any], source: Source, entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the content of dataset.json from the journal entries of all shards."""
    entries = sorted(entries, key=lambda entry: (SPLITS.index(entry["split"]), entry["index"]))
    splits = {}
    for split in SPLITS:
        rows = [entry for entry in entries if entry["split"] == split]
        if rows:
            splits[split] = _split(rows, source.class_keys)
    digests = [digest for split in splits.values() for digest in split["shard_digests"]]
    # Parts do not change the records, and the digests of the shards tell whether images were turned.
    content = {key: value for key, value in plan.items() if key not in ("parts", "exif")}
    hashed = json.dumps([content, source.class_keys, digests], sort_keys=True)
    return {
        "kind": source.kind,
        "version": VERSION,
        "classes": len(source.class_keys),
        "splits": splits,
        "image_sizes": _image_sizes(entries),
        "fingerprint": hashlib.sha256(hashed.encode()).hexdigest(),
        "bad_files": [bad for entry in entries for bad in entry["bad"]],
        **{name: sum(entry.get(name, 0) for entry in entries) for name in CHANGES},
        "plan": dict(plan),
        "layout": source.layout,
        "findings": source.findings.to_list(),
        **source.details(),
    }


def _split(rows: list[dict[str, Any]], class_keys: list[str]) -> dict[str, Any]:
    per_class = dict.fromkeys(class_keys, 0)
    for row in rows:
        for label, count in row["labels"].items():
            per_class[class_keys[int(label) - 1]] += count
    objects = {"objects": _objects(rows)} if any("counts" in row for row in rows) else {}
    return {
        "examples": sum(row["examples"] for row in rows),
        "shards": len(rows),
        "bytes": sum(row["bytes"] for row in rows),
        "bad": sum(len(row["bad"]) for row in rows),
        "turned": sum(row.get("turned", 0) for row in rows),
        "shard_examples": [row["examples"] for row in rows],
        "shard_digests": [row["digest"] for row in rows],
        "per_class": per_class,
        **objects,
    }


def _objects(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of all counts, and the minimum, mean and maximum number of boxes per image."""
    counts: Counter[str] = Counter()
    images: Counter[int] = Counter()  # number of boxes → number of images
    for row in rows:
        counts.update(row.get("counts", {}))
        images.update({int(boxes): count for boxes, count in row.get("boxes", {}).items()})
    mean = round(counts["boxes"] / max(1, images.total()), 2)
    boxes_per_image = {"min": min(images, default=0), "mean": mean, "max": max(images, default=0)}
    return {**counts, "images_without_boxes": images[0], "boxes_per_image": boxes_per_image}


def _image_sizes(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return minimum, mean and maximum of width and height in px, the mean bytes, and the images per channel count."""
    examples = sum(entry["examples"] for entry in entries)
    sizes: dict[str, Any] = {}
    for side in SIDES if examples else ():
        rows = [entry["sides"][side] for entry in entries if entry["examples"]]
        mean = round(sum(row[2] for row in rows) / examples, 1)
        sizes[side] = {"min": min(row[0] for row in rows), "mean": mean, "max": max(row[1] for row in rows)}
    if examples:
        sizes["mean_bytes"] = round(sum(entry["image_bytes"] for entry in entries) / examples)
    channels: Counter[str] = Counter()
    for entry in entries:
        channels.update({str(key): count for key, count in entry["channels"].items()})
    return sizes | {"channels": dict(sorted(channels.items()))}


def to_json(summary: Mapping[str, Any]) -> str:
    """Return the text of dataset.json, with one line per key."""
    rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in summary.items())
    return f"{{\n{rows}\n}}\n"


def load(directory: Path) -> dict[str, Any]:
    """Read the dataset.json of an earlier run. Raises DataError."""
    stored = read_dataset_file(directory)
    whole = all(
        {"shards", "bytes", "bad"} <= split.keys()
        and len(split.get("shard_digests", ())) == len(split["shard_examples"])
        for split in stored["splits"].values()
    )
    if not whole or "seed" not in stored.get("plan", {}):
        raise DataError(f"cannot continue from {directory / DATASET_FILE}: parts of it are missing; {REMEDY}")
    return dict(stored)
