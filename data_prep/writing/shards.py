"""Writes record shards atomically, and decides which records are in which shard."""

from __future__ import annotations

import os
import random
import shutil
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.tfrecord import count_records, frame_record
from mnasnet_cli.system.files import move_into_place

BUFFER_BYTES = 1 << 20
SHARD_BYTES = {"train": 100_000_000, "validation": 50_000_000, "test": 50_000_000}  # of the image files of a shard
TEMPORARY = ".partial"  # in temporary file names, between the shard's name and the writer's process id


class ShardWriter:
    """Writes one shard to a temporary file, which gets the shard's name when the block ends without an error.

    Then `examples`, `bytes`, `checksums` (four bytes of each record) and `lengths` (of their data) describe the shard.
    A `piece` of a shard keeps its temporary name until `append` puts it behind the others.
    """

    def __init__(self, path: Path, piece: int | None = None) -> None:
        self.path, self.piece = path, piece
        suffix = "" if piece is None else f"-{piece}"
        self.temporary = path.with_name(f".{path.name}{TEMPORARY}-{os.getpid()}{suffix}")
        self.checksums = bytearray()
        self.lengths = array("I")
        self.examples = self.bytes = 0

    def __enter__(self) -> ShardWriter:
        self._file = open(self.temporary, "wb", buffering=BUFFER_BYTES)
        return self

    def write(self, data: bytes) -> None:
        """Append one serialized example."""
        header, footer = frame_record(data)
        self._file.write(header)
        self._file.write(data)
        self._file.write(footer)
        self.checksums += footer
        self.lengths.append(len(data))
        self.examples += 1
        self.bytes += len(header) + len(data) + len(footer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        whole = False
        try:
            self._file.close()
            whole = kind is None
            if whole and self.piece is None:
                move_into_place(self.temporary, self.path)
        finally:
            if not whole or self.piece is None:
                self.temporary.unlink(missing_ok=True)


def append(whole: Path, piece: Path) -> None:
    """Append the file of a piece to that of the pieces before it, and remove it."""
    with open(whole, "ab") as target, open(piece, "rb") as source:
        shutil.copyfileobj(source, target, BUFFER_BYTES)
    piece.unlink()


def remove_partial(directory: Path, names: set[str]) -> None:
    """Remove the temporary files of the shards `names` that killed writers have left."""
    for path in directory.glob(f".*{TEMPORARY}-*"):
        if path.name[1:].rpartition(TEMPORARY)[0] in names:
            path.unlink(missing_ok=True)


def is_complete(path: Path, examples: int, size: int | None = None) -> bool:
    """Tell whether a shard has `examples` records, and `size` bytes. Only the lengths of the records are read."""
    try:
        if size is not None and path.stat().st_size != size:
            return False
        return count_records(path) == examples
    except (OSError, DataError):
        return False


def shard_count(split: str, sizes: Sequence[int], most: int, parts: int = 1) -> int:
    """Return the number of shards of a split whose image files have these sizes in bytes: SHARD_BYTES for each.

    There are at least as many shards as `parts`, at most `most`, and never more than images.
    """
    total = sum(size for size in sizes if size > 0)  # missing files have negative sizes
    return max(1, min(max(-(-total // SHARD_BYTES[split]), parts), most, len(sizes)))


def shuffled(count: int, seed: str) -> array[int]:
    """Return the numbers 0..count-1 in an order that depends on `seed` only.

    This is a Fisher-Yates shuffle over Random.random(), whose sequence is the same in all Python versions. The one of
    Random.shuffle() is not.
    """
    order = array("I", range(count))
    draw = random.Random(seed).random
    for last in range(count - 1, 0, -1):
        other = int(draw() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order


def shard_range(index: int, shards: int, count: int) -> tuple[int, int]:
    """Return the half-open range of the records of shard `index`. The sizes of shards differ by at most one."""
    return index * count // shards, (index + 1) * count // shards
