"""Synchronous successive halving: the rungs, who goes on, and who gets a second seed before that is decided.

Everything here is a pure function of the scores. Halving with equal rungs is that of Jamieson and Talwalkar (arXiv
1502.07943).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

MIN_EPOCHS = 3
"""Of the first rung. After one or two epochs the order of nets says nothing yet about their order at the end."""
MIN_RECIPE_EPOCHS = MIN_EPOCHS + 1
"""Of the last rung, so that there is one before it: what it trains has been measured as a whole."""
SHORT_RUNGS = ((0.3, 0.5), (0.5, 0.75))
"""Of the rungs before the last one: epochs and image size as fractions of the recipe's."""
SIZE_STEP = 32
REDUCTION = 3
"""One in so many nets goes on to the next rung."""
FINALISTS = 3
"""Drawn nets that reach the last rung at least."""
LAST_SEEDS = 2
"""Of every net in the last rung."""
PRIOR_DEVIATION, PRIOR_PAIRS = 0.015, 4
"""What the deviation between seeds is taken for at first, and how many pairs of runs that counts as."""


@dataclass(frozen=True)
class Rung:
    """A rung: how long its nets are trained, and on how large images (a fraction of each net's own size)."""

    epochs: int
    size_share: float

    def image_size(self, full: int) -> int:
        """Return the side of the training images in px: a multiple of SIZE_STEP, or the full size."""
        if self.size_share == 1.0:
            return full
        return min(full, max(SIZE_STEP, round(full * self.size_share / SIZE_STEP) * SIZE_STEP))

    def cost(self, full: int) -> float:
        """Return about the time of a training: its epochs times the pixels of an image."""
        return self.epochs * self.image_size(full) ** 2


def make_rungs(epochs: int) -> tuple[Rung, ...]:
    """Return the rungs of a recipe of so many epochs, at least MIN_RECIPE_EPOCHS; the last one is the recipe itself.

    Each is longer than the one before it.
    """
    rungs: list[Rung] = []
    for epoch_share, size_share in SHORT_RUNGS:
        rung = Rung(max(MIN_EPOCHS, round(epochs * epoch_share)), size_share)
        if (rungs[-1].epochs if rungs else 0) < rung.epochs < epochs:
            rungs.append(rung)
    return (*rungs, Rung(epochs, 1.0))


def kept(count: int) -> int:
    """Return how many of `count` drawn nets go on."""
    return min(count, max(FINALISTS, math.ceil(count / REDUCTION)))


def seed_deviation(scores: Sequence[Sequence[float]]) -> float:
    """Return the standard deviation between runs that differ only in their seed.

    Args:
      scores: of nets in one rung, by seed. Those with a single score say nothing.
    """
    squares, freedom = PRIOR_PAIRS * PRIOR_DEVIATION**2, float(PRIOR_PAIRS)
    for values in scores:
        if len(values) > 1:
            mean = fmean(values)
            squares += math.fsum((value - mean) ** 2 for value in values)
            freedom += len(values) - 1
    return math.sqrt(squares / freedom)


def ranking(scores: Mapping[str, Sequence[float]]) -> list[str]:
    """Return names by falling mean score; equal ones in the order of the mapping."""
    return sorted(scores, key=lambda name: -fmean(scores[name]))


def in_doubt(scores: Mapping[str, Sequence[float]], keep: int, deviation: float) -> list[str]:
    """Return the nets with one score that lies within noise of the cut between those that go on and the others.

    Two single runs differ by √2 deviations. At most as many as half of the nets are in doubt, the nearest ones.
    """
    if keep >= len(scores):
        return []
    order = ranking(scores)
    cut = (fmean(scores[order[keep - 1]]) + fmean(scores[order[keep]])) / 2
    distances = {name: abs(fmean(scores[name]) - cut) for name in order}
    near = [name for name in order if distances[name] <= math.sqrt(2) * deviation and len(scores[name]) == 1]
    nearest = sorted(near, key=distances.__getitem__)[: math.ceil(len(scores) / 2)]
    return [name for name in scores if name in nearest]


def candidates_within(seconds: float, by_rung: Sequence[float], stock: int) -> int:
    """Return for how many drawn nets the time is enough; 0 if it is not enough for two.

    Args:
      by_rung: seconds of a training in each rung.
      stock: nets that are trained in every rung besides.
    """
    best, count = 0, 2
    while trainings_seconds(count, by_rung, stock) <= seconds and count < 10_000:
        best = count
        count += 1
    return best


SECOND_SEEDS = 0.35
"""Share of the drawn nets in a rung that get a second seed, for estimates."""


def expected_trainings(count: int, rungs: int, stock: int) -> list[float]:
    """Return the number of trainings in each rung for `count` drawn nets.

    A rung between the first and the last one is left out where it would drop nobody.
    """
    found: list[float] = []
    for rung in range(rungs - 1):
        is_left_out = rung > 0 and kept(count) == count
        found.append(0.0 if is_left_out else count * (1 + SECOND_SEEDS * (kept(count) < count)) + stock)
        count = kept(count)
    return [*found, float((count + stock) * LAST_SEEDS)]


def trainings_seconds(count: int, by_rung: Sequence[float], stock: int) -> float:
    """Return the time of all trainings for `count` drawn nets."""
    counts = expected_trainings(count, len(by_rung), stock)
    return math.fsum(number * seconds for number, seconds in zip(counts, by_rung, strict=True))
