"""The time of a run over all its processes, and its speed."""

from __future__ import annotations

import pytest

from mnasnet_cli.training import timing
from mnasnet_cli.training.timing import Timer


def test_adds_up_and_measures_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 2.0, 10.0, 11.0])
    monkeypatch.setattr(timing.time, "monotonic", lambda: next(moments))
    timer = Timer.resume([{"seconds": 1.0}, {"seconds": 100.0, "cpu_seconds": 150.0}])
    with timer.measure(images=64):
        pass
    with timer.measure():  # an evaluation does not count for the training speed
        pass
    assert (timer.seconds, timer.last_seconds) == (103.0, 1.0)
    assert timer.cpu_seconds >= 150.0
    assert timer.images_per_second() == pytest.approx(32.0)
    assert timer.images_per_second() == 0.0


def test_a_new_run_starts_at_0() -> None:
    assert Timer.resume([]).seconds == 0.0
