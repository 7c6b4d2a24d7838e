"""Early stopping: end a training whose validation metric no longer rises."""

from __future__ import annotations

from collections.abc import Sequence


def evaluations_without_gain(scores: Sequence[float]) -> int:
    """Return how many evaluations there were after the best one; of equal scores the first is the best.

    scores: of a metric that is better if it is larger, one for each evaluation, in order.
    """
    if not scores:
        return 0
    return len(scores) - 1 - max(range(len(scores)), key=lambda number: (scores[number], -number))


def stops_early(scores: Sequence[float], patience: int) -> bool:
    """Return whether a training ends after these evaluations; a patience of 0 never ends it."""
    return patience > 0 and evaluations_without_gain(scores) >= patience
