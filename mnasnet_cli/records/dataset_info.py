"""The summary of a record folder: from dataset.json, or from the records themselves if another program wrote them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.dataset_file import REMEDY, read_dataset_file
from mnasnet_cli.records.index import load_index
from mnasnet_cli.records.keys import LABEL, OBJECT_LABEL, OBJECT_TEXT, SOURCE_ID
from mnasnet_cli.records.shards import COMMANDS, DATASET_FILE, LABELS_FILE, SPLITS, find_shards, shard_groups
from mnasnet_cli.records.tfrecord import decode_example, read_records
from mnasnet_cli.system.documents import is_number, read_text

MAX_NAME = 1000  # letters of a class that are used: drawing 100,000 letters takes a minute
MAX_LABELS_BYTES = 1 << 24
"""Of labels.txt: 100,000 classes with names of 160 letters."""


@dataclass(frozen=True)
class SplitInfo:
    """The counts of one split.

    per_class: synset → images, or category id → boxes; {} if unknown. objects: counts of boxes, {} for ImageNet.
    """

    examples: int
    shard_examples: tuple[int, ...]
    per_class: Mapping[str, int] = field(default_factory=dict)
    objects: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self.shard_examples)


@dataclass(frozen=True)
class DatasetInfo:
    """The content of a record folder.

    kind: "imagenet" or "coco". classes: N, without background. fingerprint: a SHA-256 that changes with any record.
    synsets, texts: class i (from 1) is at i - 1; empty if unknown. For COCO, synsets are the category ids as text.
    category_ids: for COCO only. images_in_both_splits: validation images whose content is in the training split too.
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
    """Return the summary of a record folder. A folder without dataset.json is scanned.

    Raises DataError if there are no records, they are of another kind than `kind`, shards are missing, or dataset.json
    cannot be read.
    """
    directory = Path(directory)
    path = directory / DATASET_FILE
    info = _load(directory, path) if path.exists() else _scan(directory, kind)
    if kind is not None and info.kind != kind:
        raise DataError(
            f"{directory} contains {info.kind} records, but {kind} records are needed; make them with"
            f" `mnasnet {COMMANDS[kind]} SOURCE OUT` in another folder"
        )
    return info


def _load(directory: Path, path: Path) -> DatasetInfo:
    synsets, texts = read_labels(directory / LABELS_FILE)
    stored = read_dataset_file(directory)
    kind, categories = stored["kind"], stored.get("categories", [])
    splits = {
        name: SplitInfo(
            split["examples"], tuple(split["shard_examples"]), split["per_class"], dict(split.get("objects", {}))
        )
        for name, split in stored["splits"].items()
    }
    if kind == "coco":  # labels.txt has the same, for people
        synsets = tuple(str(category["id"]) for category in categories)
        texts = tuple(category["name"] for category in categories)
    if synsets and len(synsets) != stored["classes"]:
        names = "its categories are" if kind == "coco" else "labels.txt has"
        raise DataError(f"{path} says {stored['classes']:,} classes, but {names} {len(synsets):,}; {REMEDY}")
    for name, info in splits.items():
        found = len(find_shards(directory, name, kind))
        if found != info.shards:
            raise DataError(f"{path} says {info.shards} {name} shards, but the folder contains {found}; {REMEDY}")
    return DatasetInfo(
        directory, kind, stored["classes"], splits, stored["fingerprint"], synsets, texts,
        dict(stored.get("image_sizes", {})), tuple(stored.get("bad_files", ())),
        tuple(category["id"] for category in categories), stored.get("images_in_both_splits", 0),
    )  # fmt: skip


def folder_fingerprint(info: DatasetInfo) -> str:
    """Return a hash of the summary's fingerprint and of the size of every shard; runs keep it."""
    digest = hashlib.sha256(info.fingerprint.encode())
    for split in sorted(info.splits):
        for path in find_shards(info.directory, split):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def read_labels(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (synsets or category ids, texts) from labels.txt; class i is at i - 1. Without the file, both are empty.

    The lines are ours, "n01440764<TAB>tench", or TF-Slim's, "1:tench". In TF-Slim's file, label 0 is the background.
    Raises DataError if it is damaged.
    """
    if not path.exists():
        return (), ()
    lines = [line for line in read_text(path, MAX_LABELS_BYTES, REMEDY).splitlines() if line.strip()]
    numbered = [re.fullmatch(r"([0-9]{1,9}):(.*)", line[:MAX_NAME]) for line in lines]
    if lines and all(numbered):
        texts = {int(match[1]): match[2] for match in numbered if match}
        named = tuple(texts[number] for number in sorted(texts) if number > 0)
        return named, named
    rows = [line[:MAX_NAME].split("\t", 1) for line in lines]
    return tuple(row[0] for row in rows), tuple(row[-1] for row in rows)


SAMPLE = 20_000  # records read to find the highest label; with 1000 classes, the chance to miss it is e^-20


def _scan(directory: Path, kind: str | None) -> DatasetInfo:
    synsets, texts = read_labels(directory / LABELS_FILE)
    found = {name for name, _ in shard_groups(directory)}
    names = [name for name in SPLITS if name in found]
    if not names:
        find_shards(directory, "train", kind)  # raises DataError with the reason
    splits, digest, sample = {}, hashlib.sha256(), _SampleStatistics()
    for name in names:
        paths = find_shards(directory, name, kind)
        counts = tuple(len(shard.lengths) for shard in load_index(directory, name, kind))
        splits[name] = SplitInfo(sum(counts), counts)
        for path, count in zip(paths, counts, strict=True):
            digest.update(f"{path.name} {path.stat().st_size} {count}\n".encode())
        for example in _sampled(paths):
            sample.add(example)
            if sample.kind == "imagenet" and synsets:
                break  # nothing more to find
    if sample.kind == "imagenet":
        return DatasetInfo(
            directory, "imagenet", len(synsets) or sample.highest, splits, digest.hexdigest(), synsets, texts
        )
    ids, texts = sample.categories(synsets, texts)
    keys = tuple(map(str, ids))
    return DatasetInfo(directory, "coco", len(ids), splits, digest.hexdigest(), keys, texts, category_ids=ids)


class _SampleStatistics:
    """What a sample of records says about their kind and classes."""

    def __init__(self) -> None:
        self.kind, self.highest = "imagenet", 0
        self.names: dict[int, str] = {}
        self.texts: set[str] = set()

    def add(self, example: Mapping[str, Any]) -> None:
        """Add one example."""
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
        """Return category ids and names; class i is at i - 1. `keys` and `texts` are those of labels.txt.

        Without labels.txt, the labels are the category ids. If the records have texts only, like those of the Object
        Detection API's COCO script, the classes are the sorted texts.
        """
        if keys:
            ids = tuple(int(key) if is_number(key) else number for number, key in enumerate(keys, 1))
            return ids, texts
        if self.highest == 0:
            texts = tuple(sorted(self.texts))
            return tuple(range(1, len(texts) + 1)), texts
        ids = tuple(range(1, self.highest + 1))
        return ids, tuple(self.names.get(label, str(label)) for label in ids)


def _sampled(paths: list[Path]) -> Iterator[Mapping[str, Any]]:
    per_shard = max(16, SAMPLE // len(paths))
    for path in paths:
        for _, data in zip(range(per_shard), read_records(path, check=False), strict=False):
            try:
                yield decode_example(data)
            except ValueError as error:
                raise DataError(f"{path} contains records that are not tf.train.Example messages") from error
