"""The content of dataset.json: counts by class, image sizes and bad files, summed up over the shards."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_prep.shard_job import SIDES, Source
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.shards import SPLITS

VERSION = 1


def dataset(plan: Mapping[str, Any], source: Source, entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what dataset.json holds, from the journal entries of all shards."""
    entries = sorted(entries, key=lambda entry: (SPLITS.index(entry["split"]), entry["index"]))
    splits = {}
    for split in SPLITS:
        rows = [entry for entry in entries if entry["split"] == split]
        if rows:
            splits[split] = _split(rows, source.class_keys)
    digests = [digest for split in splits.values() for digest in split["shard_digests"]]
    content = {key: value for key, value in plan.items() if key != "parts"}  # how the work was shared is no content
    everything = json.dumps([content, source.class_keys, digests], sort_keys=True)
    return {
        "kind": source.kind,
        "version": VERSION,
        "classes": len(source.class_keys),
        "splits": splits,
        "image_sizes": _image_sizes(entries),
        "fingerprint": hashlib.sha256(everything.encode()).hexdigest(),
        "bad_files": [bad for entry in entries for bad in entry["bad"]],
        "reencoded": sum(entry["reencoded"] for entry in entries),
        "plan": dict(plan),
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
        "shard_examples": [row["examples"] for row in rows],
        "shard_digests": [row["digest"] for row in rows],
        "per_class": per_class,
        **objects,
    }


def _objects(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of all counts, and the least, mean and largest number of boxes in an image."""
    counts: Counter[str] = Counter()
    images: Counter[int] = Counter()
    for row in rows:
        counts.update(row.get("counts", {}))
        images.update({int(boxes): count for boxes, count in row.get("boxes", {}).items()})
    mean = round(counts["boxes"] / max(1, images.total()), 2)
    spread = {"min": min(images, default=0), "mean": mean, "max": max(images, default=0)}
    return {**counts, "images_without_boxes": images[0], "boxes_per_image": spread}


def _image_sizes(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return min, mean and max of width and height in px, mean bytes, and how many images have 1 and 3 channels."""
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


def to_text(result: Mapping[str, Any]) -> str:
    """Return dataset.json's text: one line a field, so that the long lists don't fill screens."""
    rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in result.items())
    return f"{{\n{rows}\n}}\n"


def load(path: Path) -> dict[str, Any]:
    """Read a dataset.json that `dataset` made. Raises DataError."""
    try:
        stored = json.loads(path.read_text())
        _ = [split["shard_digests"] for split in stored["splits"].values()], stored["plan"]["seed"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"cannot go on from {path}: {error!r}; write the records anew") from error
    return dict(stored)
