"""Write record shards so that whatever bears a shard's name is whole, and remember what has been written."""

from __future__ import annotations

import hashlib
import json
import os
import random
from array import array
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.records.shards import JOURNAL_PATTERN
from mnasnet_cli.records.tfrecord import count_records, frame_record

BUFFER_BYTES = 1 << 20
TEMPORARY = ".partial"  # between a shard's name and the writer's process id
PLAN_FLAGS = {
    "train_shards": "--train-shards",
    "validation_shards": "--val-shards",
    "seed": "--seed",
    "max_side": "--max-side",
}


class ShardWriter:
    """Write one shard under a temporary name in the same folder; it gets its own name when the block ends well.

    After that, `examples`, `bytes` and `digest` (over the records' checksums) describe it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}{TEMPORARY}-{os.getpid()}")
        self._hash = hashlib.sha256()
        self.examples = self.bytes = 0

    def __enter__(self) -> ShardWriter:
        self._file = open(self._temporary, "wb", buffering=BUFFER_BYTES)
        return self

    def write(self, data: bytes) -> None:
        """Append one serialised example."""
        header, footer = frame_record(data)
        self._file.write(header)
        self._file.write(data)
        self._file.write(footer)
        self._hash.update(footer)
        self.examples += 1
        self.bytes += len(header) + len(data) + len(footer)

    @property
    def digest(self) -> str:
        """Changes with any record: sha256 over the checksums."""
        return self._hash.hexdigest()[:16]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            if kind is None:
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def remove_partial(directory: Path, names: set[str]) -> None:
    """Remove what writers that were killed left of the shards `names`."""
    for path in directory.glob(f".*{TEMPORARY}-*"):
        if path.name[1:].rpartition(TEMPORARY)[0] in names:
            path.unlink(missing_ok=True)


def shuffled(count: int, seed: str) -> array[int]:
    """Return the numbers 0..count-1 in an order that follows from `seed` alone.

    Fisher-Yates over Random.random(), whose sequence Python guarantees between versions (that of shuffle() it doesn't).
    """
    order = array("I", range(count))
    draw = random.Random(seed).random
    for last in range(count - 1, 0, -1):
        other = int(draw() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order


def shard_range(index: int, shards: int, count: int) -> tuple[int, int]:
    """Return the half-open range of a shard's places among `count`; sizes differ by at most one."""
    return index * count // shards, (index + 1) * count // shards


class Journal:
    """One line of JSON for each whole shard, after a first line that says what is being written.

    It lets a later run keep these shards, and it is a part's report to the run that joins the parts.
    """

    def __init__(self, path: Path, plan: Mapping[str, Any]) -> None:
        self.path, self.plan = path, dict(plan)
        self.entries: dict[str, dict[str, Any]] = {}

    def load(self) -> None:
        """Read the journal. Raises what `check_plan` does where it was made with another plan."""
        lines = self.path.read_text().split("\n")[:-1]  # a last line without its end was being written when killed
        try:
            stored = json.loads(lines[0])
            entries = [json.loads(line) for line in lines[1:]]
        except (ValueError, IndexError):
            stored, entries = {}, []
        check_plan(self.path.parent, stored or self.plan, self.plan)
        self.entries = {entry["shard"]: entry for entry in entries}

    def begin(self) -> None:
        """Write the file anew with what is known."""
        rows = [self.plan, *self.entries.values()]
        replace_text(self.path, "".join(json.dumps(row) + "\n" for row in rows))

    def add(self, entry: dict[str, Any]) -> None:
        """Append a whole shard's line."""
        self.entries[entry["shard"]] = entry
        with open(self.path, "a") as file:
            file.write(json.dumps(entry) + "\n")


def check_journals(directory: Path, plan: Mapping[str, Any]) -> None:
    """Raise what `check_plan` does where any part began with another plan: its shards would lie beside others."""
    for path in sorted(directory.glob(JOURNAL_PATTERN)):
        with suppress(FileNotFoundError):  # the parts are being joined
            Journal(path, plan).load()


def check_plan(directory: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise an error that says what differs where records in `directory` were begun otherwise than `now` says.

    It is a DataError where the source differs, a ConfigError where only flags do.
    """
    different = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    began, advice = "from the run that began there", "use the same, or another folder"
    for key in different:
        if key not in PLAN_FLAGS:  # this first: of another source, the numbers of shards may differ, too
            raise DataError(f"cannot go on in {directory}: {key.replace('_', ' ')} differs {began}; {advice}")
    flags = [f"{PLAN_FLAGS[key]} (was {before.get(key)}, is {now.get(key)})" for key in different]
    if flags:
        verb = "differs" if len(flags) == 1 else "differ"
        raise ConfigError(f"cannot go on in {directory}: {' and '.join(flags)} {verb} {began}; {advice}")


def is_whole(path: Path, examples: int, size: int | None = None) -> bool:
    """Tell whether a shard is there with as many records (and bytes) as noted; reads only the records' lengths."""
    try:
        if size is not None and path.stat().st_size != size:
            return False
        return count_records(path) == examples
    except (OSError, DataError):
        return False


def replace_text(path: Path, text: str) -> None:
    """Write a text file in one step: it is there whole, or as it was."""
    temporary = path.with_name(f".{path.name}{TEMPORARY}-{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
