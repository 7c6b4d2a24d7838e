"""Charts as inline SVG: lines, points, and a confusion matrix as a table of colored cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from mnasnet_cli.pages.html import SERIES_COLORS, Html, escape

WIDTH, HEIGHT = 440, 280  # units of the drawing, which is scaled to its place
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 30, 42
COLORS = len(SERIES_COLORS)  # `--series-N` in the style of the page
MAX_POINTS = 400  # of one line; a chart is 390 units wide inside
LABEL_HEIGHT = 13
SPREAD = 100  # times the smallest value

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A line or a group of points with a name in the legend.

    `labels` are written beside its points where there is room, and shown when the pointer is over them.
    """

    name: str
    points: Sequence[Point]
    labels: Sequence[str] = ()
    dots: bool = False
    """Draw the points, not a line through them."""


def draw_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str = "",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    spread: bool = False,
) -> Html:
    """Return a chart. Points that are not finite are left out; without points, the result is "".

    Args:
      spread: the vertical axis is logarithmic if its values differ by orders of magnitude.
      x_range, y_range: the ends of the axes; None: those of the points.
    """
    kept = [(one, [p for p in one.points if math.isfinite(p[0]) and math.isfinite(p[1])]) for one in series]
    every = [point for _, points in kept for point in points]
    if not every:
        return Html()
    across = _Axis(x_range or _span([x for x, _ in every]), LEFT, WIDTH - RIGHT)
    log = spread and is_spread([y for _, y in every])
    ends = y_range or _span([math.log10(y) if log else y for _, y in every])
    up = _Axis(ends, HEIGHT - BOTTOM, TOP + 16 * (len(series) > 1), log=log)
    parts = [f'<text x="{LEFT}" y="14" font-weight="600">{escape(title)}</text>']
    parts += _grid(across, up, x_label, y_label)
    taken: list[tuple[float, float, float, float]] = []
    for number, (one, points) in enumerate(kept):
        color = f"var(--series-{number % COLORS})"
        placed = [(across(x), up(y)) for x, y in _thin(points)]
        if not one.dots and len(placed) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6"/>')
        if one.dots or len(placed) <= 30:
            parts += [_dot(place, color, label) for place, label in zip_longest(placed, one.labels[: len(placed)])]
        for (x, y), label in zip(placed, one.labels, strict=False):
            parts.append(_label(x, y, label, taken))
    if len(series) > 1:
        parts += _legend({number: one.name for number, (one, points) in enumerate(kept) if points})
    inside = "\n".join(parts)
    frame = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return Html(f"<figure>{frame}\n{inside}\n</svg></figure>")


def draw_matrix(counts: Sequence[Sequence[int]], rows: Sequence[str], columns: Sequence[str], corner: str) -> Html:
    """Return a matrix of counts as a table; the depth of a cell's color is its share of the row.

    Args:
      counts: one list for each of `rows`.
      corner: what rows and columns are, such as "true ↓ predicted →".
    """
    head = "".join(f'<th class="column">{escape(name)}</th>' for name in columns)
    lines = []
    for name, values in zip(rows, counts, strict=True):
        total = sum(values) or 1
        cells = "".join(
            f'<td{_right(name == column)} style="background: rgb(var(--cell) / {0.75 * value / total:.2f})">'
            f"{f'{value:,}' if value else ''}</td>"
            for value, column in zip(values, columns, strict=True)
        )
        lines.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    body = "\n".join(lines)
    return Html(
        f'<div class="scroll"><table class="matrix">\n<tr><th>{escape(corner)}</th>{head}</tr>\n{body}\n</table></div>'
    )


def _right(is_right: bool) -> str:
    return ' class="right"' if is_right else ""


class _Axis:
    """Turns values into positions of the drawing."""

    def __init__(self, ends: tuple[float, float], first: float, last: float, *, log: bool = False):
        """ends: the values at both ends; of a logarithmic axis, their logarithms to base 10."""
        self._log = log
        self.low, self.high = ends
        if self.high <= self.low:
            margin = abs(self.low) / 10 or 1.0
            self.low, self.high = self.low - margin, self.high + margin
        self.end = last
        self._first, self._scale = first, (last - first) / (self.high - self.low)

    def __call__(self, value: float) -> float:
        value = math.log10(value) if self._log else value
        return self._first + self._scale * (min(max(value, self.low), self.high) - self.low)

    def ticks(self, most: int) -> list[float]:
        """Return at most about `most` round values inside the axis; of a logarithmic one, powers of ten."""
        if self._log:
            return [10.0**power for power in range(math.ceil(self.low), math.floor(self.high) + 1)]
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def is_spread(values: Sequence[float]) -> bool:
    """Tell whether all values are positive and differ so much that a linear axis hides most of them."""
    return min(values, default=0) > 0 and max(values) > SPREAD * min(values)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.06
    return low - margin, high + margin


def _thin(points: Sequence[Point]) -> list[Point]:
    """Return every n-th point and the last, so that a long training stays a small file."""
    step = max(1, -(-len(points) // MAX_POINTS))
    kept = list(points[::step])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def _grid(across: _Axis, up: _Axis, x_label: str, y_label: str) -> list[str]:
    top, bottom = up.end, HEIGHT - BOTTOM
    parts = []
    for values, text, line in (
        (across.ticks(6), lambda x: f'<text x="{across(x):.1f}" y="{bottom + 16}" text-anchor="middle">',
         lambda x: (across(x), bottom, across(x), top)),
        (up.ticks(5), lambda y: f'<text x="{LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">',
         lambda y: (LEFT, up(y), WIDTH - RIGHT, up(y))),
    ):  # fmt: skip
        parts += _ticks(values, text, line)
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
    )
    if y_label:
        middle = (top + bottom) / 2
        parts.append(
            f'<text transform="translate(12 {middle:.1f}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
        )
    return parts


def _ticks(
    values: Sequence[float],
    text: Callable[[float], str],
    line: Callable[[float], tuple[float, float, float, float]],
) -> list[str]:
    parts = []
    for value in values:
        x1, y1, x2, y2 = line(value)
        parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="var(--line)"/>')
        parts.append(f"{text(value)}{_short(value)}</text>")
    return parts


def _short(value: float) -> str:
    """Return a tick's text: 4 digits, without the noise of sums of decimal fractions."""
    if abs(value) < 1e-12:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _legend(names: Mapping[int, str]) -> list[str]:
    parts: list[str] = []
    x = float(LEFT)
    for number, name in names.items():
        shown = name if len(name) <= 28 else f"{name[:27]}…"
        if x + 20 + 6.5 * len(shown) > WIDTH and parts:
            parts.append(f'<text x="{x:.0f}" y="32">…</text>')
            break
        parts.append(f'<rect x="{x:.0f}" y="24" width="14" height="8" fill="var(--series-{number % COLORS})"/>')
        parts.append(f'<text x="{x + 18:.0f}" y="32">{escape(shown)}</text>')
        x += 30 + 6.5 * len(shown)
    return parts


def _dot(place: Point, color: str, label: str | None) -> str:
    circle = f'circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="3" fill="{color}"'
    return f"<{circle}><title>{escape(label)}</title></circle>" if label else f"<{circle}/>"


def _label(x: float, y: float, text: str, taken: list[tuple[float, float, float, float]]) -> str:
    """Return a label beside a point, inside the chart and over no other label; "" where there is no such place."""
    width = 6.3 * len(text)
    left = x + 6 if x + 6 + width <= WIDTH - 2 else max(2.0, x - 6 - width)
    top = y - 6
    for shift in (0, 1, -1, 2, -2, 3, -3, 4, -4):
        box = (left, top + shift * LABEL_HEIGHT, left + width, top + (shift + 1) * LABEL_HEIGHT)
        inside = box[1] >= TOP and box[3] <= HEIGHT - BOTTOM
        free = all(
            box[2] < other[0] or other[2] < box[0] or box[3] <= other[1] or other[3] <= box[1] for other in taken
        )
        if inside and free:
            break
    else:
        return ""
    taken.append(box)
    return f'<text x="{left:.1f}" y="{box[1] + 10:.1f}" font-size="11">{escape(text)}</text>'
