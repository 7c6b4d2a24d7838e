"""Reading an epoch in its order: each process its own records, from any step on, and nothing is kept too long."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mnasnet_cli.data import ordered_records
from mnasnet_cli.data.epoch_order import EpochOrder
from mnasnet_cli.data.ordered_records import OrderedRecords
from mnasnet_cli.data.record_index import RecordIndex
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.index import load_index
from mnasnet_cli.records.tfrecord import HEADER_BYTES, encode_record

RECORDS = 1000
ORDER = EpochOrder(0, 1, records=RECORDS, batch_size=12, block=5, mixed=100)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> RecordIndex:
    """Records that hold their own number, in shards of different sizes."""
    folder = tmp_path_factory.mktemp("numbered")
    for shard, (begin, end) in enumerate([(0, 300), (300, 307), (307, 1000)]):
        records = b"".join(encode_record(str(number).encode()) for number in range(begin, end))
        (folder / f"train-{shard:05d}-of-00003").write_bytes(records)
    return RecordIndex.of(load_index(folder, "train"))


class Counting(RecordIndex):
    """Counts the records that are read."""

    def read(self, first: int, count: int) -> list[bytes]:
        self.__dict__["read_so_far"] = self.__dict__.get("read_so_far", 0) + count
        return super().read(first, count)


def read(records: OrderedRecords) -> tuple[list[int], list[int]]:
    """Return positions and record numbers."""
    chunks = list(records)
    return (
        [position for positions, _ in chunks for position in positions.tolist()],
        [int(record) for _, records in chunks for record in records],
    )


def test_records_come_in_the_order_of_the_epoch(index: RecordIndex) -> None:
    positions, numbers = read(OrderedRecords(index, ORDER))
    assert positions == list(range(996))
    assert numbers == ORDER.numbers(np.arange(996)).tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("skip", [0, 12 * 41, 12 * 82])
def test_processes_share_the_batches_and_read_nothing_twice(index: RecordIndex, count: int, skip: int) -> None:
    found = {}
    for number in range(count):
        counting = Counting(index.paths, index.counts, index.lengths)
        positions, numbers = read(OrderedRecords(counting, ORDER, skip, number, count))
        assert positions == list(range(skip + number, 996, count))
        assert counting.__dict__["read_so_far"] <= len(numbers) + (12 // count) * 3 * ORDER.block * (skip > 0)
        found |= dict(zip(positions, numbers, strict=True))
    assert [found[position] for position in range(skip, 996)] == ORDER.numbers(np.arange(skip, 996)).tolist()


def test_a_number_of_processes_that_does_not_divide_the_batch_works_too(index: RecordIndex) -> None:
    positions, numbers = read(OrderedRecords(index, ORDER, 0, 3, 7))
    assert numbers == ORDER.numbers(np.array(positions)).tolist()


def test_the_first_batch_reads_little(index: RecordIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_records, "CHUNK", 12)
    order = dataclasses.replace(ORDER, mixed=8192)
    counting = Counting(index.paths, index.counts, index.lengths)
    next(iter(OrderedRecords(counting, order)))
    assert counting.__dict__["read_so_far"] <= 4 * 12 * ORDER.block


def test_a_damaged_record_is_named_with_its_place(index: RecordIndex, tmp_path: Path) -> None:
    shard = tmp_path / "train-00000-of-00001"
    content = bytearray(b"".join(encode_record(b"x" * 40) for _ in range(30)))
    content[5 * 56 + HEADER_BYTES + 3] ^= 1
    shard.write_bytes(content)
    order = EpochOrder(0, 0, records=30, batch_size=3, block=2, mixed=8)
    with pytest.raises(DataError, match="record 5, at byte 280: its checksum does not match its data"):
        read(OrderedRecords(RecordIndex.of(load_index(tmp_path, "train")), order))
    with_index = RecordIndex.of(load_index(tmp_path, "train"))
    shard.write_bytes(content[:200])
    with pytest.raises(DataError, match=r"is not a complete TFRecord file: record .* the file is cut off"):
        read(OrderedRecords(with_index, order))
    shard.unlink()
    with pytest.raises(DataError, match=r"cannot read .*no such file"):
        read(OrderedRecords(with_index, order))
