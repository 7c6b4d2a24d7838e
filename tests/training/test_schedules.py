"""Schedules held against tables made by hand."""

from __future__ import annotations

import pytest

from mnasnet_cli.config.schema import ScheduleConfig
from mnasnet_cli.training.schedules import ema_decay, factor


def test_warm_up_rises_linearly_to_the_peak() -> None:
    schedule = ScheduleConfig(name="constant", warmup_epochs=2.0)
    # 2 epochs of 4 steps: 1/8, 2/8, … 8/8, then the peak.
    found = [factor(schedule, step, 4, 40) for step in range(10)]
    assert found == pytest.approx([1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 7 / 8, 1.0, 1.0, 1.0])


def test_no_warm_up_begins_at_the_peak() -> None:
    assert factor(ScheduleConfig(name="constant", warmup_epochs=0.0), 0, 4, 40) == 1.0


def test_exponential_falls_in_stairs_counted_from_the_first_step() -> None:
    schedule = ScheduleConfig(name="exponential", warmup_epochs=1.0, decay_epochs=2.4, decay_rate=0.97)
    # 10 steps an epoch, so one stair is 24 steps: 0-23, 24-47, 48-71, …
    table = {9: 1.0, 23: 1.0, 24: 0.97, 47: 0.97, 48: 0.9409, 72: 0.912673}
    assert {step: factor(schedule, step, 10, 1000) for step in table} == pytest.approx(table)


def test_cosine_goes_from_peak_to_the_final_fraction() -> None:
    schedule = ScheduleConfig(name="cosine", warmup_epochs=0.0, final_fraction=0.1)
    # 0.1 + 0.9 · (1 + cos(π·t/8)) / 2 at t = 0, 2, 4, 6, 8: cos = 1, 0.70711, 0, -0.70711, -1.
    table = {0: 1.0, 2: 0.868198, 4: 0.55, 6: 0.231802, 8: 0.1}
    assert {step: factor(schedule, step, 2, 8) for step in table} == pytest.approx(table, abs=1e-6)


def test_cosine_holds_the_peak_after_warm_up() -> None:
    schedule = ScheduleConfig(name="cosine", warmup_epochs=1.0, hold_epochs=2.0)
    # 2 steps an epoch: warm-up 0-1, hold 2-5, half of the way down at (6 + 14) / 2 = 10.
    table = {0: 0.5, 1: 1.0, 3: 1.0, 6: 1.0, 10: 0.5, 14: 0.0}
    assert {step: factor(schedule, step, 2, 14) for step in table} == pytest.approx(table, abs=1e-9)


def test_cosine_stays_in_range_where_nothing_is_left_to_decay() -> None:
    schedule = ScheduleConfig(name="cosine", warmup_epochs=2.0)
    assert [factor(schedule, step, 3, 6) for step in (4, 5, 6)] == pytest.approx([5 / 6, 1.0, 1.0])


def test_the_averages_decay_ramps_up() -> None:
    # (1 + step) / (10 + step) until that passes the limit.
    assert [ema_decay(0.9, step) for step in (0, 8, 79, 80, 81, 10**6)] == pytest.approx(
        [1 / 10, 9 / 18, 80 / 89, 0.9, 0.9, 0.9]
    )
