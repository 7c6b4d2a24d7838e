"""The summary of a record folder, from dataset.json and labels.txt or, in folders of other programs, by counting."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.keys import LABEL, OBJECT_LABEL, OBJECT_TEXT, SOURCE_ID
from mnasnet_cli.records.shards import COMMANDS, DATASET_FILE, LABELS_FILE, SPLITS, find_shards, shard_groups
from mnasnet_cli.records.tfrecord import count_records, decode_example, read_records


@dataclass(frozen=True)
class SplitInfo:
    """One split: number of examples, in all and by shard, and by class where that is known.

    per_class: synset → images, or category id → boxes. objects: what dataset.json says of the boxes, {} for ImageNet.
    """

    examples: int
    shard_examples: tuple[int, ...]
    per_class: Mapping[str, int] = field(default_factory=dict)
    objects: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.shard_examples)


@dataclass(frozen=True)
class DatasetInfo:
    """What a record folder holds.

    kind: "imagenet" or "coco". classes: N, without background. fingerprint: sha256 hex; changes with any record.
    synsets, texts: class i (1-based) stands at i - 1; empty where unknown. For COCO, synsets are the category ids.
    category_ids: for COCO, of class i at i - 1. images_in_both_splits: for COCO, how many the two have in common.
    """

    directory: Path
    kind: str
    classes: int
    splits: Mapping[str, SplitInfo]
    fingerprint: str
    synsets: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    image_sizes: Mapping[str, Any] = field(default_factory=dict)
    bad_files: tuple[Mapping[str, str], ...] = ()
    category_ids: tuple[int, ...] = ()
    images_in_both_splits: int = 0


def load_dataset_info(directory: Path, kind: str | None = None) -> DatasetInfo:
    """Read dataset.json and labels.txt; a foreign record folder without them is counted by scanning.

    Raises DataError where there are no records, they aren't of the `kind` that is wanted, shards are missing, or
    dataset.json cannot be read.
    """
    directory = Path(directory)
    path = directory / DATASET_FILE
    info = _load(directory, path) if path.exists() else _scan_foreign(directory, kind)
    if kind is not None and info.kind != kind:
        raise DataError(
            f"{directory} holds {info.kind} records, but {kind} records are needed; make them with"
            f" `mnasnet {COMMANDS[kind]} SOURCE OUT`, in another folder"
        )
    return info


def _load(directory: Path, path: Path) -> DatasetInfo:
    synsets, texts = read_labels(directory / LABELS_FILE)
    try:
        stored = json.loads(path.read_text())
        splits = {
            name: SplitInfo(
                int(split["examples"]), tuple(split["shard_examples"]), split["per_class"], split.get("objects", {})
            )
            for name, split in stored["splits"].items()
        }
        classes, fingerprint, kind = int(stored["classes"]), str(stored["fingerprint"]), str(stored["kind"])
        categories = tuple(int(category["id"]) for category in stored["categories"]) if kind == "coco" else ()
        if kind == "coco":  # this is where the map is kept; labels.txt shows it to people
            synsets = tuple(map(str, categories))
            texts = tuple(str(category["name"]) for category in stored["categories"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"cannot read {path}: {error}; write the records again") from error
    for name, info in splits.items():
        if len(find_shards(directory, name, kind)) != info.shards:
            raise DataError(f"{path} says {info.shards} {name} shards, but the folder holds another number of them")
    bad = tuple(stored.get("bad_files", ()))
    both = int(stored.get("images_in_both_splits", 0))
    return DatasetInfo(
        directory,
        kind,
        classes,
        splits,
        fingerprint,
        synsets,
        texts,
        stored.get("image_sizes", {}),
        bad,
        categories,
        both,
    )


def read_labels(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (synsets or category ids, texts) of a labels.txt, class i at i - 1; two empty tuples without the file.

    Both forms are read: ours, "n01440764<TAB>tench", and TF-Slim's, "1:tench", which slim itself writes beside records
    that it downloaded names for; its line of label 0 is background.
    """
    if not path.exists():
        return (), ()
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    numbered = [re.fullmatch(r"(\d+):(.*)", line) for line in lines]
    if lines and all(numbered):
        texts = {int(match[1]): match[2] for match in numbered if match}
        named = tuple(texts[number] for number in sorted(texts) if number > 0)
        return named, named
    rows = [line.split("\t", 1) for line in lines]
    return tuple(row[0] for row in rows), tuple(row[-1] for row in rows)


FOREIGN_SAMPLE = 20_000  # records read to find the highest label: at 1000 classes the chance to miss it is e^-20


def _scan_foreign(directory: Path, kind: str | None) -> DatasetInfo:
    synsets, texts = read_labels(directory / LABELS_FILE)
    names = sorted({name for name, _ in shard_groups(directory)} & set(SPLITS))
    if not names:
        find_shards(directory, "train", kind)  # raises with the reason
    splits, digest, sample = {}, hashlib.sha256(), _Sample()
    for name in names:
        paths = find_shards(directory, name, kind)
        counts = tuple(count_records(path) for path in paths)
        splits[name] = SplitInfo(sum(counts), counts)
        for path, count in zip(paths, counts, strict=True):
            digest.update(f"{path.name} {path.stat().st_size} {count}\n".encode())
        for example in _sampled(paths):
            sample.add(example)
            if sample.kind == "imagenet" and synsets:
                break  # that tells all
    if sample.kind == "imagenet":
        return DatasetInfo(
            directory, "imagenet", len(synsets) or sample.highest, splits, digest.hexdigest(), synsets, texts
        )
    ids, texts = sample.categories(synsets, texts)
    keys = tuple(map(str, ids))
    return DatasetInfo(directory, "coco", len(ids), splits, digest.hexdigest(), keys, texts, category_ids=ids)


class _Sample:
    """Gathers what foreign examples say about kind and classes."""

    def __init__(self) -> None:
        self.kind, self.highest = "imagenet", 0
        self.names: dict[int, str] = {}
        self.texts: set[str] = set()

    def add(self, example: Mapping[str, Any]) -> None:
        """Note one example."""
        labels = example.get(LABEL) or example.get(OBJECT_LABEL) or []
        self.highest = max(self.highest, *labels, 0)
        if LABEL in example:
            return
        if OBJECT_LABEL in example or OBJECT_TEXT in example or SOURCE_ID in example:
            self.kind = "coco"
            texts = [text.decode("utf-8", "replace") for text in example.get(OBJECT_TEXT, [])]
            self.texts.update(texts)
            self.names.update(zip(labels, texts, strict=False))

    def categories(self, keys: tuple[str, ...], texts: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Return category ids and names, class i at i - 1.

        From labels.txt where there is one; else labels are taken for category ids; records that have only texts (as
        those of the Object Detection API's own COCO script) are numbered in the texts' sorted order.
        """
        if keys:
            ids = tuple(int(key) if key.isdecimal() else number for number, key in enumerate(keys, 1))
            return ids, texts
        if self.highest == 0:
            texts = tuple(sorted(self.texts))
            return tuple(range(1, len(texts) + 1)), texts
        ids = tuple(range(1, self.highest + 1))
        return ids, tuple(self.names.get(label, str(label)) for label in ids)


def _sampled(paths: list[Path]) -> Iterator[Mapping[str, Any]]:
    per_shard = max(16, FOREIGN_SAMPLE // len(paths))
    for path in paths:
        for _, data in zip(range(per_shard), read_records(path, check=False), strict=False):
            try:
                yield decode_example(data)
            except ValueError as error:
                raise DataError(f"{path} holds records that are no tf.train.Example") from error
