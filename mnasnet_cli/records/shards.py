"""File names of record shards, and how to find and verify shards."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from mnasnet_cli.errors import DataError
from mnasnet_cli.system.documents import JsonObject, Unreadable, parse_json, read_text, validate

SPLITS = ("train", "validation", "test")
DATASET_FILE = "dataset.json"
LABELS_FILE = "labels.txt"
COMMANDS = {"imagenet": "prepare-imagenet", "coco": "prepare-coco"}  # kind of records → command that makes them
JOURNAL_PATTERN = "unfinished-part-*-of-*.jsonl"  # removed when dataset.json is written

_SHARD = re.compile(r"(?P<stem>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})$")
# The scripts of the Object Detection API name shards "coco_train.record-…", "pet_faces_val.record-…", ….
_FOREIGN_STEM = re.compile(r"(?:\w+_)?(?P<split>train|validation|val|testdev|test)\.(?:tf)?record$")
_FOREIGN_SPLITS = {"val": "validation", "testdev": "test"}


def shard_name(split: str, index: int, count: int) -> str:
    """Return the file name of a shard, such as "train-00003-of-01024"."""
    return f"{split}-{index:05d}-of-{count:05d}"


def split_name(name: str) -> str | None:
    """Return the split of a shard's file name, None if it is not the name of a shard.

    The names of the Object Detection API count too: "coco_val.record-00000-of-00050" is of "validation".
    """
    match = _SHARD.match(name)
    return _split(match["stem"]) if match else None


def _split(stem: str) -> str:
    foreign = _FOREIGN_STEM.match(stem)
    if not foreign:
        return stem
    return _FOREIGN_SPLITS.get(foreign["split"], foreign["split"])


def shard_groups(directory: Path) -> dict[tuple[str, int], list[Path]]:
    """Return the shards in a folder, sorted, by (split, number of shards in the name). Other files are ignored."""
    groups: dict[tuple[str, int], list[Path]] = {}
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if match := _SHARD.match(path.name):
            groups.setdefault((_split(match["stem"]), int(match["count"])), []).append(path)
    return groups


def find_shards(directory: Path, split: str, kind: str | None = None) -> list[Path]:
    """Return the shards of a split, sorted. Raises DataError with what is missing and the command that makes it.

    Args:
        directory: the record folder.
        split: one of SPLITS.
        kind: of the records, for the message; by default, it is read from dataset.json or a journal.
    """
    directory = Path(directory)
    command = f"mnasnet {COMMANDS.get(kind or _stored_kind(directory), COMMANDS['imagenet'])} SOURCE {directory}"
    if not directory.is_dir():
        raise DataError(f"no record folder {directory}; make it with `{command}`")
    if not (directory / DATASET_FILE).exists() and (journals := sorted(directory.glob(JOURNAL_PATTERN))):
        resume = _resume_command(command, journals[0])
        raise DataError(f"the records in {directory} are unfinished; finish them with {resume}")
    groups = {count: paths for (name, count), paths in shard_groups(directory).items() if name == split}
    if not groups:
        raise DataError(f"no {split}-*-of-* records in {directory}; make them with `{command}`")
    if len(groups) > 1:
        counts = " and ".join(f"{len(paths)} of {count}" for count, paths in sorted(groups.items()))
        raise DataError(f"{directory} contains two sets of {split} shards ({counts}); remove one of them")
    [(count, paths)] = groups.items()
    names = {path.name for path in paths}
    stems = sorted({match["stem"] for name in names if (match := _SHARD.match(name))})
    if len(stems) > 1:
        raise DataError(f"{directory} contains two sets of {split} shards ({' and '.join(stems)}); remove one of them")
    missing = [name for index in range(count) if (name := shard_name(stems[0], index, count)) not in names]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        remedy = f"make it with `{command} --resume`" if stems[0] == split else "copy it from the original folder"
        raise DataError(f"shard {missing[0]}{more} is missing in {directory}; {remedy}")
    return paths


def journal_parts(journal: Path) -> int:
    """Return the number of parts from the name of a journal."""
    return int(journal.stem.rpartition("-of-")[2])


def _resume_command(command: str, journal: Path) -> str:
    """Return how to finish the records of a journal, for messages."""
    parts = journal_parts(journal)
    if parts == 1:
        return f"`{command} --resume` and the flags of the first run"
    return f"`{command} --part I/{parts} --resume` for I from 1 to {parts}, and the flags of the first run"


def _stored_kind(directory: Path) -> str:
    """Return the kind of records from dataset.json or a journal, "" if there is none."""
    for path in (directory / DATASET_FILE, *directory.glob(JOURNAL_PATTERN)):
        with suppress(Unreadable):
            text = read_text(path)
            found = parse_json(text if path.name == DATASET_FILE else text.partition("\n")[0], path)
            return str(validate(found, JsonObject, path).get("kind", ""))
    return ""


def shard_digest(checksums: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the checksums of a shard's records."""
    return hashlib.sha256(checksums).hexdigest()[:16]
