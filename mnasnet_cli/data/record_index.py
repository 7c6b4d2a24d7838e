"""The records of a split by their numbers: finds and reads any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.records.index import FRAME_BYTES, ShardIndex
from mnasnet_cli.records.tfrecord import unframe


@dataclass(frozen=True)
class RecordIndex:
    """The places of the N records of some shards; records are numbered from 0 in the order of the shards."""

    paths: tuple[Path, ...]
    counts: tuple[int, ...]
    """Records of each shard."""
    lengths: np.ndarray
    """[N] uint32: bytes of each record's data."""

    @classmethod
    def of(cls, shards: Sequence[ShardIndex]) -> RecordIndex:
        """Return the index of shards from `records.index.load_index`. They must not be compressed."""
        lengths = [np.array(shard.lengths, np.uint32) for shard in shards]
        return cls(tuple(shard.path for shard in shards), tuple(map(len, lengths)), np.concatenate(lengths))

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def first(self) -> np.ndarray:
        """[shards + 1] int64: number of each shard's first record, and N."""
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])

    @cached_property
    def offsets(self) -> np.ndarray:
        """[N] int64: byte offset of each record in its shard."""
        starts = np.concatenate([[0], np.cumsum(self.lengths + np.int64(FRAME_BYTES))])
        return starts[:-1] - np.repeat(starts[self.first[:-1]], self.counts)

    @property
    def record_bytes(self) -> float:
        """Mean size of a record on the disk."""
        return FRAME_BYTES + float(self.lengths.mean()) if len(self) else float(FRAME_BYTES)

    def place(self, number: int) -> tuple[int, int]:
        """Return the shard of a record, and the record's byte offset in it."""
        return int(np.searchsorted(self.first, number, side="right")) - 1, int(self.offsets[number])

    def read(self, first: int, count: int) -> list[bytes]:
        """Return the data of `count` consecutive records; after the last one comes record 0.

        Raises DataError if a record is damaged, or the shard has changed.
        """
        return [data for start, number in self._parts(first, count) for data in self._read(start, number)]

    def _parts(self, first: int, count: int) -> Iterator[tuple[int, int]]:
        """Yield (first record, number of records) of the parts that lie in one shard."""
        while count:
            shard, _ = self.place(first)
            here = min(count, int(self.first[shard + 1]) - first)
            yield first, here
            first, count = (first + here) % len(self), count - here

    def _read(self, first: int, count: int) -> list[bytes]:
        shard, start = self.place(first)
        lengths = self.lengths[first : first + count].tolist()
        path = self.paths[shard]
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(start)
                content = _read_fully(file, sum(lengths) + count * FRAME_BYTES)
        except OSError as error:
            raise DataError(f"cannot read {path}: {os_error_reason(error)}") from error
        return unframe(memoryview(content), lengths, path, first - int(self.first[shard]), start)


def _read_fully(file: BinaryIO, size: int) -> bytes:
    """Read `size` bytes of an unbuffered file, or up to its end; the system may give less at a time."""
    pieces: list[bytes] = []
    while size > 0 and (piece := file.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
