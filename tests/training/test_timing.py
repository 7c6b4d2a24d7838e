"""The time of a run over all its sessions, its speed, and the time left."""

from __future__ import annotations

import math

import pytest

from mnasnet_cli.training import timing
from mnasnet_cli.training.timing import Timer


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def process_time(self) -> float:
        return 2.0 * self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(timing, "time", fake)
    return fake


def test_seconds_include_everything_since_the_start_and_earlier_sessions(clock: Clock) -> None:
    timer = Timer(age=5.0)
    clock.now += 7.0  # nothing is measured in this time, but it passes
    with timer.measure_steps(64):
        clock.now += 2.0
    with timer.measure_epoch_end():
        clock.now += 1.0
    assert (timer.seconds, timer.cpu_seconds) == (15.0, 20.0)
    timer.add_earlier(100.0, 150.0)
    assert (timer.seconds, timer.cpu_seconds) == (115.0, 170.0)


def test_the_speed_is_that_of_training_alone(clock: Clock) -> None:
    timer = Timer()
    with timer.measure_steps(64):
        clock.now += 2.0
    with timer.measure_epoch_end():
        clock.now += 100.0
    assert timer.last_seconds == 2.0
    assert timer.images_per_second() == pytest.approx(32.0)
    assert timer.images_per_second() == 0.0


def test_the_time_left_has_evaluations_but_no_compilation(clock: Clock) -> None:
    timer = Timer()
    with timer.measure_steps(10):
        clock.now += 60.0  # compilation
    assert math.isnan(timer.seconds_left(100, 3))
    with timer.measure_steps(10):
        clock.now += 5.0
    assert timer.seconds_left(100, 3) == pytest.approx(50.0)
    with timer.measure_epoch_end():
        clock.now += 20.0
    assert timer.seconds_left(100, 3) == pytest.approx(50.0 + 3 * 20.0)
