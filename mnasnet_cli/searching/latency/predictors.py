"""Predicts the latency of a net from measurements: a table of parts, or a regression on whole nets.

| method, on 40 nets of 1.9 to 5.5 ms | mean error |
|---|---|
| multiply-adds times a constant | 4.0 % |
| table of parts, with a scale from whole nets | 2.7 % |
| ridge regression on 12 features of 25 whole nets | 3.5 % |

The table needs TFLite on the device itself; the regression needs only files that run there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.nets.spec import count_parameters
from mnasnet_cli.searching.latency.parts import HEAD, STEM, Part, parts_of, stage_of

SCALE_PENALTY = 0.02
"""Of the deviation of a stage's scale from the common one; a net's relative error of 2 % weighs as much."""
GROWTH_PENALTY = 0.04
"""Keeps the growth near 0 where all measured nets have about as many weights. It is the square of 2 % of noise over an
expected growth of 0.1 for a million weights."""
RIDGE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class Predictor(Protocol):
    """Predicts latencies.

    Attributes:
      reference_ms: the latency of a net that is measured again with every group of nets; None if none is measured.
    """

    reference_ms: float | None

    def __call__(self, spec: NetSpec, image_size: int) -> float:
        """Return the latency of a net in ms."""


class PartsTable:
    """Latencies of measured parts, and lines between them over the widths of a family."""

    def __init__(self, measured: Sequence[tuple[Part, float]], classes: int) -> None:
        """`measured`: parts with their latency in ms."""
        self._classes = classes
        families: dict[str, list[tuple[float, float]]] = {}
        for part, latency in measured:
            families.setdefault(part.family, []).append((part.cost(classes), latency))
        self._lines: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for family, points in families.items():
            costs, latencies = np.array(sorted(points)).T
            # Wider parts are never faster; where they were measured so, it was noise.
            self._lines[family] = costs, np.maximum.accumulate(latencies)

    def latency(self, part: Part) -> float:
        """Return the latency of a part in ms. Raises KeyError if none of its family was measured."""
        costs, latencies = self._lines[part.family]
        cost = part.cost(self._classes)
        if len(costs) == 1:
            return float(latencies[0] * cost / costs[0])
        # Beyond the ends, the line through the last two points goes on.
        place = int(np.clip(np.searchsorted(costs, cost), 1, len(costs) - 1))
        low, high = place - 1, place
        slope = (latencies[high] - latencies[low]) / (costs[high] - costs[low])
        return float(max(latencies[low] + slope * (cost - costs[low]), 0.2 * latencies[0]))

    def by_stage(self, spec: NetSpec, image_size: int) -> np.ndarray:
        """Return the sums of a net's parts by `stage_of`, [3] in ms."""
        sums = np.zeros(3)
        for part in parts_of(spec, image_size):
            sums[stage_of(part, image_size)] += self.latency(part)
        return sums

    def weights(self, spec: NetSpec) -> float:
        """Return the number of a net's weights, in millions."""
        return count_parameters(spec, self._classes) / 1e6


class TablePredictor:
    """A table of parts with the scales that whole nets have.

    In a net, each part finds the caches full of others' values. The more weights a net has, the fewer of them stay
    there from one image to the next. So the scale grows with the number of weights.
    """

    def __init__(
        self, table: PartsTable, nets: Sequence[tuple[NetSpec, int, float]], reference_ms: float | None = None
    ) -> None:
        """Take the scales from measured nets.

        Args:
          nets: each with its image size and latency in ms.
          reference_ms: the latency of the reference net, which was measured together with them.
        """
        self._table, self.reference_ms = table, reference_ms
        sums = np.array([table.by_stage(spec, size) for spec, size, _ in nets])
        measured = np.array([latency for _, _, latency in nets])
        weights = np.array([table.weights(spec) for spec, _, _ in nets])
        self._middle = float(weights.mean())
        distances, ratios = weights - self._middle, np.log(measured / sums.sum(1))
        self.growth = float(distances @ ratios / (distances @ distances + GROWTH_PENALTY))
        shares = sums / (measured / np.exp(self.growth * distances))[:, np.newaxis]
        # Least squares of relative errors, with a common scale and small deviations of the stages from it.
        common = float((shares.sum(1)).sum() / (shares.sum(1) ** 2).sum())
        rest = 1.0 - common * shares.sum(1)
        penalty = SCALE_PENALTY * len(nets) * np.eye(3)
        deviations = np.linalg.solve(shares.T @ shares + penalty, shares.T @ rest)
        self.scales = common + deviations

    def __call__(self, spec: NetSpec, image_size: int) -> float:
        """Return the latency of a net in ms."""
        growth = np.exp(self.growth * (self._table.weights(spec) - self._middle))
        return float(self._table.by_stage(spec, image_size) @ self.scales * growth)


def features(spec: NetSpec, image_size: int, classes: int) -> np.ndarray:
    """Return what a regression predicts the latency from, [12]: numbers of layers, multiply-adds and values."""
    found = np.zeros(12)
    found[0] = 1.0
    for part in parts_of(spec, image_size):
        out = -(-part.size // part.stride)
        if part.kind == STEM:
            found[1] += 27 * part.outputs * out**2 / 4
        elif part.kind == HEAD:
            found[2] += part.size**2 * part.inputs * part.outputs
            found[3] += part.outputs * classes
        else:
            expanded = part.inputs * part.expand
            found[4] += 1
            found[5] += part.size**2 * part.inputs * expanded if part.expand > 1 else 0
            found[6] += out**2 * expanded * part.outputs
            found[7 if part.kernel == 3 else 8] += out**2 * expanded * part.kernel**2
            found[9] += (part.size**2 + out**2) * expanded
            found[10] += part.squeeze > 0
            found[11] += out**2 * expanded if part.squeeze else 0
    return found


class RegressionPredictor:
    """Ridge regression on the features of whole nets, which were measured on another device."""

    def __init__(self, nets: Sequence[tuple[NetSpec, int, float]], classes: int) -> None:
        """`nets`: measured ones, each with its image size and latency in ms."""
        self._classes = classes
        self.reference_ms: float | None = None
        rows = np.array([features(spec, size, classes) for spec, size, _ in nets])
        measured = np.array([latency for _, _, latency in nets])
        self._scale = np.maximum(np.abs(rows).mean(0), 1e-12)
        # Divided by the latencies, so that relative errors count.
        design = rows / self._scale / measured[:, np.newaxis]
        self.error, penalty = min((_left_out_error(design, penalty), penalty) for penalty in RIDGE_PENALTIES)
        self._weights = _ridge(design, penalty)

    def __call__(self, spec: NetSpec, image_size: int) -> float:
        """Return the latency of a net in ms."""
        return float(features(spec, image_size, self._classes) / self._scale @ self._weights)


def _ridge(design: np.ndarray, penalty: float) -> np.ndarray:
    """Return the weights with which the rows sum up to 1."""
    width = design.shape[1]
    return np.linalg.solve(design.T @ design + penalty * np.eye(width), design.sum(0))


def _left_out_error(design: np.ndarray, penalty: float) -> float:
    """Return the mean relative error of each net, predicted from the others."""
    errors = [
        abs(float(design[place] @ _ridge(np.delete(design, place, 0), penalty)) - 1.0) for place in range(len(design))
    ]
    return float(np.mean(errors))
