"""The width at which a net has a latency: the bound is hard, so a net is never over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.searching.nets.space import MAX_WIDTH, MIN_WIDTH

MIN_SHARE = 0.97
"""Of the limit that a net must use, so that nets of one limit can be compared."""
STEPS = 1000
"""Widths are multiples of 1 / STEPS, so that a width can be typed."""


@dataclass(frozen=True)
class Solved:
    """A net at the width that was solved, and its latency in ms as predicted."""

    width: float
    spec: NetSpec
    predicted_ms: float


def solve_width(
    net_at: Callable[[float], NetSpec], predict: Callable[[NetSpec], float], limit_ms: float
) -> Solved | None:
    """Return the net at the largest width that is within a limit; None if no width from MIN_WIDTH to MAX_WIDTH is.

    Args:
      net_at: the net at a width. Its channels never shrink when the width grows.
      predict: latency in ms.
    """

    def latency(step: int) -> float:
        return predict(net_at(step / STEPS))

    fits, exceeds = round(MIN_WIDTH * STEPS), round(MAX_WIDTH * STEPS) + 1
    if latency(fits) > limit_ms:
        return None
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if latency(middle) <= limit_ms:
            fits = middle
        else:
            exceeds = middle
    spec = net_at(fits / STEPS)
    return Solved(fits / STEPS, spec, predict(spec))


def uses_limit(solved: Solved, limit_ms: float) -> bool:
    """Return whether a net's latency is within 97 to 100 % of the limit."""
    return MIN_SHARE * limit_ms <= solved.predicted_ms <= limit_ms
