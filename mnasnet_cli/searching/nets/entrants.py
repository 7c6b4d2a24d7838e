"""The nets that compete at one latency: the stock nets, random draws, and mutations of the best of both."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.nets.spec import NETS, get_spec
from mnasnet_cli.searching.latency.predictors import Predictor
from mnasnet_cli.searching.nets.solving import Solved, solve_width, uses_limit
from mnasnet_cli.searching.nets.space import (
    EXPANSIONS,
    KERNELS,
    LARGEST,
    MAX_WIDTH,
    MIN_WIDTH,
    REPEATS,
    SMALLEST,
    SQUEEZES,
    STAGES,
    WIDTHS,
    Genes,
    draw,
    genes_near,
    mutate,
    net_of,
)
from mnasnet_cli.searching.plan import Plan, table_of
from mnasnet_cli.searching.rungs import ranking

STOCK = ("a1", "b1", "small", "d1", "mobilenet-v2")
STOCK_EXCESS = 1.03
"""Of the limit, that a stock net may have where no width of it is within 97 to 100 %."""
ATTEMPTS = 100
"""Draws until one is new and fits a limit; then one is taken that uses less of it."""
PARENTS_SHARE = 3
"""One in so many nets of the first half may have mutations."""


@dataclass(frozen=True)
class Entrant:
    """A net that competes at one latency.

    Attributes:
      name: a stock net's, or "n001" … of drawn ones.
      genes: of a drawn net; of a stock net, its nearest draw, or None.
      image_size: of the training in px. input_size: of the exported net.
      solved: the net at its width.
      measured_ms: its latency measured as a whole; None until it is.
    """

    name: str
    genes: Genes | None
    image_size: int
    input_size: int
    solved: Solved
    measured_ms: float | None = None

    @property
    def is_stock(self) -> bool:
        """Whether it is a stock net."""
        return self.name in NETS

    @property
    def spec(self) -> NetSpec:
        """The net at its width."""
        return self.solved.spec

    @property
    def table(self) -> dict[str, Any] | None:
        """The table of a drawn net; None for a stock net."""
        return None if self.is_stock else table_of(self.spec, self.name)


class EntrantPool:
    """Makes the entrants for one latency. What it has made once, it keeps."""

    def __init__(self, plan: Plan, limit_ms: float, predict: Predictor) -> None:
        self._plan, self.limit_ms, self._predict = plan, limit_ms, predict
        self._kept: dict[Any, dict[str, Entrant]] = {}
        self._solved: dict[Any, Entrant | None] = {}

    @property
    def reference_ms(self) -> float | None:
        """See `Predictor`."""
        return self._predict.reference_ms

    def range_ms(self) -> tuple[float, float]:
        """Return the latencies of the fastest and of the slowest net of the space, as predicted."""
        sizes = [self._plan.input_size(size) for size in self._plan.image_sizes]
        fastest = net_of(Genes(0, SMALLEST), MIN_WIDTH)
        slowest = net_of(Genes(0, LARGEST), MAX_WIDTH)
        return self._predict(fastest, min(sizes)), self._predict(slowest, max(sizes))

    def stock(self) -> dict[str, Entrant]:
        """Return the stock nets that can meet the limit."""
        found: dict[str, Entrant] = {}
        for name in STOCK:
            made = [self._solve(name, None, size) for size in sorted(self._plan.image_sizes, reverse=True)]
            # The largest images on which it keeps a width of a half, as the published nets do; else the smallest ones.
            wide = [one for one in made if one and one.solved.width >= 0.5] or [one for one in made[-1:] if one]
            if wide:
                genes = genes_near(NETS[name], wide[0].image_size)
                found[name] = replace(wide[0], genes=genes)
        return found

    def drawn(self, count: int) -> dict[str, Entrant]:
        """Return the first half: random draws."""
        if count not in self._kept:
            found: dict[str, Entrant] = {}
            for number in range(count):
                generator = self._generator("draw", number)
                self._add(found, {}, number, lambda: draw(generator, self._plan.image_sizes))  # noqa: B023
            self._kept[count] = found
        return self._kept[count]

    def mutated(
        self, count: int, first: Mapping[str, Entrant], scores: Mapping[str, Sequence[float]]
    ) -> dict[str, Entrant]:
        """Return the second half: mutations of the best third of the first half and of the stock nets.

        Args:
          first: the first half and the stock nets.
          scores: of all these.
        """
        order = [name for name in ranking(scores) if first[name].genes is not None]
        parents = order[: max(1, -(-len(order) // PARENTS_SHARE))]
        # After the last number, not after so many nets: where few nets fit a limit, draws are missing between.
        start = max((int(name[1:]) for name, one in first.items() if not one.is_stock), default=0)
        key = (count, start, *parents)
        if key in self._kept:
            return self._kept[key]
        found = self._kept[key] = {}
        for number in range(start, start + count):
            generator = self._generator("mutate", number)

            def make() -> Genes:
                genes = first[generator.choice(parents)].genes  # noqa: B023
                assert genes is not None
                return mutate(generator, genes, self._plan.image_sizes)  # noqa: B023

            self._add(found, first, number, make)
        return found

    def corrected(self, entrant: Entrant, factor: float) -> Entrant:
        """Return an entrant at the width that meets the limit if its latency is `factor` times the predicted one."""
        solved = self._solve(entrant.name, entrant.genes, entrant.image_size, factor)
        return replace(entrant, solved=solved.solved) if solved else entrant

    def _add(
        self, found: dict[str, Entrant], others: Mapping[str, Entrant], number: int, make: Callable[[], Genes]
    ) -> None:
        """Add the first new draw that uses the limit; if there is none, the one that uses most of it."""
        taken = {(one.image_size, replace(one.spec, name="")) for one in (*found.values(), *others.values())}
        best: Entrant | None = None
        for _ in range(ATTEMPTS):
            genes = make()
            entrant = self._solve(f"n{number + 1:03d}", genes, genes.image_size)
            if entrant is None or (genes.image_size, replace(entrant.spec, name="")) in taken:
                continue
            if best is None or entrant.solved.predicted_ms > best.solved.predicted_ms:
                best = entrant
            if uses_limit(entrant.solved, self.limit_ms):
                break
        if best is not None:
            found[best.name] = best

    def _solve(self, name: str, genes: Genes | None, image_size: int, factor: float = 1.0) -> Entrant | None:
        """Return a net at the width that meets the limit; None if there is no such width."""
        key = (name, genes, image_size, factor)
        if key not in self._solved:
            self._solved[key] = self._solve_anew(name, genes, image_size, factor)
        return self._solved[key]

    def _solve_anew(self, name: str, genes: Genes | None, image_size: int, factor: float) -> Entrant | None:
        size = self._plan.input_size(image_size)

        def net_at(width: float) -> NetSpec:
            return get_spec(name, width) if name in NETS or genes is None else net_of(genes, width, name)

        def latency(spec: NetSpec) -> float:
            return factor * self._predict(spec, size)

        solved = solve_width(net_at, latency, self.limit_ms)
        if solved and name in NETS and not uses_limit(solved, self.limit_ms):
            # Channels are multiples of 8, so a small net has few widths. A stock net may come a little too late.
            later = solve_width(net_at, latency, STOCK_EXCESS * self.limit_ms)
            solved = later if later and later.predicted_ms > self.limit_ms else solved
        return Entrant(name, genes, image_size, size, solved) if solved else None

    def _generator(self, what: str, number: int) -> random.Random:
        return random.Random(f"{self._plan.seed} {self.limit_ms:g} {what} {number}")


def covering_nets(plan: Plan) -> list[tuple[NetSpec, int]]:
    """Return nets, each with the side of its input in px, whose parts cover those of the space and the stock nets."""
    nets, kinds = [], (KERNELS, EXPANSIONS, SQUEEZES)
    for image_size in plan.image_sizes:
        size = plan.input_size(image_size)
        for *kind, width in itertools.product(*(range(len(axis)) for axis in kinds), (0, len(WIDTHS) - 1)):
            stage = (*kind, REPEATS.index(0), width)
            choices = (width, width, width, *stage * len(STAGES))
            nets.append((net_of(Genes(image_size, choices), 1.0), size))
        nets += [(NETS[name], size) for name in STOCK]
    return nets
