"""The order of an epoch: every record once, a function of seed and epoch alone, blocks that are read by one process."""

from __future__ import annotations

import numpy as np
import pytest

from mnasnet_cli.data.epoch_order import EpochOrder, block_records, permute

CASES = [
    EpochOrder(0, 0, records=96, batch_size=20),
    EpochOrder(1, 2, records=1000, batch_size=7, block=8, mixed=50),
    EpochOrder(0, 3, records=1000, batch_size=10, block=8, mixed=10_000),
    EpochOrder(0, 0, records=4099, batch_size=512, block=3, mixed=8192),
    EpochOrder(0, 0, records=640, batch_size=64, block=4, mixed=10),  # windows of one step
    EpochOrder(0, 0, records=5, batch_size=5, block=2),
    EpochOrder(0, 0, records=1, batch_size=1),
]


def positions(order: EpochOrder) -> np.ndarray:
    return np.arange(order.steps * order.batch_size)


@pytest.mark.parametrize("order", CASES, ids=str)
def test_an_epoch_has_every_record_at_most_once(order: EpochOrder) -> None:
    numbers = order.numbers(positions(order))
    assert len(set(numbers.tolist())) == order.steps * order.batch_size
    assert 0 <= numbers.min() <= numbers.max() < order.records


@pytest.mark.parametrize("order", CASES, ids=str)
def test_a_part_of_a_block_is_used_where_it_says(order: EpochOrder) -> None:
    every = positions(order)
    places = order.places(every)
    for first, size, uses in zip(places.first, places.size, order.uses(every, places), strict=True):
        assert order.numbers(uses).tolist() == ((first + np.arange(size)) % order.records).tolist()
        assert len({use % order.batch_size for use in uses.tolist()}) == 1  # one lane, so one process


def test_the_order_stays_the_same_in_all_versions() -> None:
    order = EpochOrder(seed=3, epoch=5, records=1000, batch_size=10, block=4, mixed=40)
    assert order.numbers(np.arange(20)).tolist() == [
        577,
        853,
        592,
        609,
        98,
        619,
        260,
        164,
        998,
        678,
        788,
        262,
        339,
        606,
        99,
        890,
        258,
        163,
        999,
        679,
    ]


def test_a_position_is_found_without_the_others() -> None:
    order = EpochOrder(0, 1, records=10_000_000_000, batch_size=1024, block=8)
    where = np.array([0, 5_000_000_000, 9_999_999_000])
    assert [order.numbers(where[at : at + 1])[0] for at in range(3)] == order.numbers(where).tolist()


def test_seeds_and_epochs_have_other_orders() -> None:
    heads = [
        tuple(EpochOrder(seed, epoch, 1000, 10, 4, 40).numbers(np.arange(10)).tolist())
        for seed in (0, 1, 2) for epoch in (0, 1, 2)
    ]  # fmt: skip
    assert len(set(heads)) == 9


def test_neighbours_end_up_as_far_apart_as_asked_for() -> None:
    order = EpochOrder(0, 0, records=40_000, batch_size=32, block=8, mixed=2000)
    place = np.empty(order.records, int)
    place[order.numbers(positions(order))] = positions(order)
    distances = np.abs(np.diff(place))
    assert 1800 < distances[distances < 6000].mean() < 2200  # within a block; others are anywhere
    assert np.median(distances) > 0.7 * 2000


def test_classes_that_lie_together_are_mixed_in_batches() -> None:
    # Ten classes, one behind the other, as a program that does not shuffle writes them.
    order = EpochOrder(0, 0, records=40_000, batch_size=100, block=8, mixed=2000)
    classes = order.numbers(positions(order)).reshape(-1, 100) // 4000
    counts = np.array([np.bincount(batch, minlength=10) for batch in classes])
    assert counts.var() < 1.3 * 100 * 0.1 * 0.9  # of a batch that is drawn at random: 9


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 64, 1000])
def test_permutations_are_permutations_and_can_be_undone(size: int) -> None:
    values, sizes, keys = np.arange(size), np.full(size, size), np.full(size, 12345, np.uint64)
    moved = permute(values, sizes, keys)
    assert sorted(moved.tolist()) == values.tolist()
    assert (permute(moved, sizes, keys, inverse=True) == values).all()


def test_all_permutations_are_equally_likely() -> None:
    keys = np.repeat(np.arange(6000, dtype=np.uint64), 3)
    found = permute(np.tile(np.arange(3), 6000), np.full(18_000, 3), keys).reshape(-1, 3)
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert counts.min() > 870  # 1000 expected; four standard deviations


def test_blocks_have_the_size_asked_for_and_lanes_have_eight() -> None:
    assert block_records(128, 10_800, 1000) == 11
    assert block_records(128, 110_000, 5000) == 1
    assert block_records(128, 400_000, 5000) == 1
    assert block_records(1000, 10_000, 80) == 10
    assert block_records(1000, 10_000, 4) == 1
