"""Reads the records of an epoch in its order, a process's share of it, in few and large reads made ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mnasnet_cli.data.epoch_order import EpochOrder, Places
from mnasnet_cli.data.record_index import RecordIndex

CHUNK = 128  # records that are handed over together
_AHEAD = 3  # chunks whose reads have begun before they are needed
_READS = 16  # at a time; a network's file system takes milliseconds for each
_SPAN = 2048  # positions whose places are computed together, which takes 0.3 µs each; one by one, it takes 100

Part = dict[int, bytes]
"""The records of a part of a block that are still to come, by their offsets in it."""


@dataclass(frozen=True)
class OrderedRecords:
    """The records of one epoch in its order, from position `skip` on: every `count`-th, beginning with number `index`.

    Only what is used is kept: a record from the read of its block to its own turn.
    """

    records: RecordIndex
    order: EpochOrder
    skip: int = 0
    index: int = 0
    count: int = 1

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield chunks: positions, int64 [P], and the data of their records, objects [P]."""
        parts: dict[int, Future[Part] | Part] = {}  # by the number of a part's first record
        waiting: deque[tuple[np.ndarray, Places]] = deque()
        pool = ThreadPoolExecutor(_READS, thread_name_prefix="records")
        mine = np.arange(self.skip + self.index, self.order.steps * self.order.batch_size, self.count)
        try:
            for begin in range(0, len(mine), _SPAN):
                span = mine[begin : begin + _SPAN]
                places = self.order.places(span)
                needed = self._needed(span, places)
                for start in range(0, len(span), CHUNK):
                    own = slice(start, start + CHUNK)
                    waiting.append((span[own], Places(*(values[own] for values in places))))
                    for first, size in zip(places.first[own].tolist(), places.size[own].tolist(), strict=True):
                        if first not in parts:
                            parts[first] = pool.submit(self._read, first, size, needed[first])
                    if len(waiting) > _AHEAD:
                        yield _take(parts, *waiting.popleft())
            while waiting:
                yield _take(parts, *waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _needed(self, positions: np.ndarray, places: Places) -> dict[int, list[int]]:
        """Return, by the first record of each part, the offsets of the records that are used from now on.

        They are not those that an epoch that is resumed has used before, and none of other processes.
        """
        found, at = np.unique(places.first, return_index=True)
        uses = self.order.uses(positions[at], Places(*(values[at] for values in places)))
        mine = [(used >= self.skip) & ((used - self.skip) % self.count == self.index) for used in uses]
        return {first: np.flatnonzero(own).tolist() for first, own in zip(found.tolist(), mine, strict=True)}

    def _read(self, first: int, count: int, needed: list[int]) -> Part:
        found = self.records.read(first, count)
        return {offset: found[offset] for offset in needed}


def _take(
    parts: dict[int, Future[Part] | Part], positions: np.ndarray, places: Places
) -> tuple[np.ndarray, np.ndarray]:
    data = np.empty(len(positions), object)
    for at, (first, offset) in enumerate(zip(places.first.tolist(), places.offset.tolist(), strict=True)):
        part = parts[first]
        if isinstance(part, Future):
            part = parts[first] = part.result()
        data[at] = part.pop(offset)
        if not part:
            del parts[first]
    return positions, data
