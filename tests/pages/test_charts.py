"""Charts: what is drawn, inside the drawing, escaped."""

from __future__ import annotations

import math
import re

import pytest

from mnasnet_cli.pages.charts import HEIGHT, WIDTH, Series, draw_chart, draw_matrix


def numbers(chart: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'\b{name}="([^"]+)"', chart)]


def test_a_line_and_its_legend() -> None:
    chart = draw_chart("loss", [Series("a<b", [(0, 1), (1, 3)]), Series("val", [(1, 2)])], x_label="epoch")
    assert chart.count("<polyline") == 1  # one point alone is no line
    assert chart.count("<circle") == 3
    assert "a&lt;b" in chart
    assert "epoch" in chart


def test_nothing_to_draw() -> None:
    assert draw_chart("loss", [], x_label="epoch") == ""
    assert draw_chart("loss", [Series("a", [(0, math.nan), (math.inf, 1)])], x_label="epoch") == ""


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-12, 1e9])
def test_a_single_value_is_inside(value: float) -> None:
    chart = draw_chart("x", [Series("a", [(value, value)])], x_label="x")
    assert 0 < numbers(chart, "cx")[0] < WIDTH
    assert 0 < numbers(chart, "cy")[0] < HEIGHT


def test_a_long_line_is_thinned_and_keeps_its_end() -> None:
    points = [(step, 1000.0 - step) for step in range(10_000)]
    chart = draw_chart("x", [Series("a", points)], x_label="x", x_range=(0, 9999))
    line = re.search(r'points="([^"]+)"', chart)
    assert line is not None
    places = line[1].split()
    assert len(places) <= 402
    assert float(places[-1].split(",")[0]) == WIDTH - 14


def test_labels_of_equal_points_do_not_cover_each_other() -> None:
    points = [(1.0, 1.0), (1.0, 1.0), (2.0, 2.0)]
    chart = draw_chart("x", [Series("a", points, ["first", "second", "a long name of a run"], dots=True)], x_label="x")
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" font-size="11">([^<]+)', chart)
    assert [text for _, _, text in labels] == ["first", "second", "a long name of a run"]
    assert labels[0][1] != labels[1][1]
    assert all(float(x) >= 0 and float(x) + 6 * len(text) < WIDTH for x, _, text in labels)


def test_a_matrix() -> None:
    matrix = draw_matrix([[3, 1], [0, 0]], ["<cat>", "dog"], ["<cat>", "dog"], "true")
    assert "&lt;cat&gt;" in matrix
    assert "/ 0.56)" in matrix  # 0.75 × 3 / 4
    assert matrix.count('class="right"') == 2
    assert ">0<" not in matrix


def test_values_that_differ_by_orders_of_magnitude_get_a_logarithmic_axis() -> None:
    points = [(1.0, 700.0), (2.0, 3.0), (3.0, 1.0)]
    heights = numbers(draw_chart("loss", [Series("a", points)], x_label="epoch", spread=True), "cy")
    assert heights[1] - heights[0] > 100
    assert heights[2] - heights[1] > 20  # 3 and 1 can be told apart
    heights = numbers(draw_chart("loss", [Series("a", [*points, (4.0, 0.0)])], x_label="epoch", spread=True), "cy")
    assert heights[2] - heights[1] < 2  # 0 has no logarithm


def test_labels_without_room_are_shown_by_the_pointer_only() -> None:
    chart = draw_chart("x", [Series("a", [(1.0, 1.0)] * 40, [f"run {n}" for n in range(40)], dots=True)], x_label="x")
    assert chart.count("<title>run ") == 40
    assert chart.count('font-size="11"') < 10
