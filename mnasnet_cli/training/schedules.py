"""Learning-rate schedules: pure functions of the step, as a factor of the peak rate."""

from __future__ import annotations

import math

from mnasnet_cli.config.schema import ScheduleConfig


def factor(schedule: ScheduleConfig, step: int, steps_per_epoch: int, total_steps: int) -> float:
    """Learning rate at `step` (0-based) over the peak rate, in [0, 1].

    Warm-up ends at the peak. The exponential decay counts its steps from 0, warm-up included, and drops in stairs,
    as the MnasNet TPU code does; the cosine runs from the end of warm-up and hold to the last step.
    """
    warmup_steps = schedule.warmup_epochs * steps_per_epoch
    if step + 1 < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule.name == "exponential":
        return float(schedule.decay_rate ** (step // (schedule.decay_epochs * steps_per_epoch)))
    if schedule.name == "cosine":
        start = warmup_steps + schedule.hold_epochs * steps_per_epoch
        progress = min(1.0, max(0.0, (step - start) / max(1.0, total_steps - start)))
        cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
        return schedule.final_fraction + (1.0 - schedule.final_fraction) * cosine
    return 1.0


def ema_decay(limit: float, step: int) -> float:
    """Decay of the moving average at `step`: min(limit, (1 + step) / (10 + step)), TensorFlow's usual ramp-up."""
    return min(limit, (1.0 + step) / (10.0 + step))
