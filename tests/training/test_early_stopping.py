"""When a training stops early."""

from __future__ import annotations

import pytest

from mnasnet_cli.training.early_stopping import evaluations_without_gain, stops_early


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([], 0), ([0.3], 0), ([0.3, 0.5], 0), ([0.5, 0.3, 0.4], 2), ([0.3, 0.5, 0.5, 0.5], 2), ([0.1, 0.2, 0.1, 0.3], 0)],
)
def test_counts_the_evaluations_after_the_first_best_one(scores: list[float], expected: int) -> None:
    assert evaluations_without_gain(scores) == expected


def test_patience_0_never_stops() -> None:
    assert not stops_early([0.5, *[0.1] * 100], 0)
    assert stops_early([0.5, 0.1, 0.1], 2)
    assert not stops_early([0.5, 0.1], 2)
