"""Shards: their file names, how to find them, and how to check their records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.tfrecord import read_records

SPLITS = ("train", "validation")
DATASET_FILE = "dataset.json"
LABELS_FILE = "labels.txt"
COMMANDS = {"imagenet": "prepare-imagenet", "coco": "prepare-coco"}  # by kind of records
JOURNAL_PATTERN = "unfinished-part-*-of-*.jsonl"  # what a writer has done so far; gone once dataset.json is there

_SHARD = re.compile(r"(?P<stem>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})$")
# Before the number, the Object Detection API's scripts write "coco_train.record", "pet_faces_val.record", ….
_FOREIGN_STEM = re.compile(r"(?:\w+_)?(?P<split>train|val|validation)\.(?:tf)?record$")


def shard_name(split: str, index: int, count: int) -> str:
    """Return the public name of a shard: "train-00003-of-01024"."""
    return f"{split}-{index:05d}-of-{count:05d}"


def split_name(name: str) -> str | None:
    """Return the split of a shard's file name, None where the name is no shard's.

    The split of "coco_val.record-00000-of-00050", as the Object Detection API's scripts name theirs, is "validation".
    """
    match = _SHARD.match(name)
    return _split(match["stem"]) if match else None


def _split(stem: str) -> str:
    foreign = _FOREIGN_STEM.match(stem)
    if not foreign:
        return stem
    return "validation" if foreign["split"] == "val" else foreign["split"]


def shard_groups(directory: Path) -> dict[tuple[str, int], list[Path]]:
    """Group the shards in a folder by (split, count in the name), each in order; other files are left out."""
    groups: dict[tuple[str, int], list[Path]] = {}
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if match := _SHARD.match(path.name):
            groups.setdefault((_split(match["stem"]), int(match["count"])), []).append(path)
    return groups


def find_shards(directory: Path, split: str, kind: str | None = None) -> list[Path]:
    """Return a split's shards in order. Raises DataError naming what is missing and the command that makes it.

    kind: of the records; where it isn't given, a summary or journal in the folder tells it, else they are ImageNet's.
    """
    directory = Path(directory)
    command = f"mnasnet {COMMANDS.get(kind or _kind(directory), COMMANDS['imagenet'])} SOURCE {directory}"
    if not directory.is_dir():
        raise DataError(f"no record folder {directory}; make it with `{command}`")
    if not (directory / DATASET_FILE).exists() and (journals := sorted(directory.glob(JOURNAL_PATTERN))):
        raise DataError(f"the records in {directory} are unfinished; finish them with {_go_on(command, journals[0])}")
    groups = {count: paths for (name, count), paths in shard_groups(directory).items() if name == split}
    if not groups:
        raise DataError(f"no {split}-*-of-* records in {directory}; make them with `{command}`")
    if len(groups) > 1:
        counts = " and ".join(f"{len(paths)} of {count}" for count, paths in sorted(groups.items()))
        raise DataError(f"{directory} holds two sets of {split} shards ({counts}); remove one of them")
    [(count, paths)] = groups.items()
    names = {path.name for path in paths}
    stems = sorted({match["stem"] for name in names if (match := _SHARD.match(name))})
    if len(stems) > 1:
        raise DataError(f"{directory} holds two sets of {split} shards ({' and '.join(stems)}); remove one of them")
    missing = [name for index in range(count) if (name := shard_name(stems[0], index, count)) not in names]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        remedy = f"make it with `{command} --resume`" if stems[0] == split else "copy it from where the records are"
        raise DataError(f"shard {missing[0]}{more} is missing in {directory}; {remedy}")
    return paths


def journal_parts(journal: Path) -> int:
    """Return into how many parts the work was divided that a journal is of."""
    return int(journal.stem.rpartition("-of-")[2])


def _go_on(command: str, journal: Path) -> str:
    """Return how to finish what a journal is of, for messages."""
    parts = journal_parts(journal)
    if parts == 1:
        return f"`{command} --resume` and the flags that they were begun with"
    return f"`{command} --part I/{parts} --resume` for I from 1 to {parts}, and the flags that they were begun with"


def _kind(directory: Path) -> str:
    """Return the kind of records that a summary or journal is of; "" where none says. For messages."""
    for path in (directory / DATASET_FILE, *directory.glob(JOURNAL_PATTERN)):
        try:
            head = path.read_text(encoding="utf-8")
            return str(json.loads(head if path.name == DATASET_FILE else head.partition("\n")[0])["kind"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return ""


def verify_shards(paths: Iterable[Path]) -> int:
    """Hold every byte of the shards against its CRC and return the number of records.

    Raises DataError naming the first corrupt shard, the record in it and the byte where that record starts.
    """
    return sum(1 for path in paths for _ in read_records(path))
