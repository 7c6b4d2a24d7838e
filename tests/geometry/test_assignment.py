"""Which cells learn which boxes, on a row of four cells of 8 px, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.geometry.assignment import CROWD, Assignment, Scenes, assign_by_alignment, assign_by_cost
from mnasnet_cli.geometry.matching import BACKGROUND, IGNORED

CELLS = np.array([[0, 8 * i, 8, 8 * i + 8] for i in range(4)], np.float32)  # centers (4, 4), (4, 12), (4, 20), (4, 28)
LEFT, RIGHT = [0.0, 0.0, 8.0, 16.0], [0.0, 16.0, 8.0, 32.0]


def logit(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1 - probability))


def scenes(boxes: list, classes: list, predicted: list, scores: list) -> Scenes:
    """One image; `scores` [4, K] are probabilities."""
    return Scenes(
        tf.constant([boxes], tf.float32) if boxes else tf.zeros([1, 0, 4]),
        tf.constant([classes], tf.int32) if classes else tf.zeros([1, 0], tf.int32),
        tf.constant([predicted], tf.float32),
        tf.constant(logit(np.array([scores], np.float32)), tf.float32),
        tf.constant(CELLS),
    )


def plain(found: Assignment) -> tuple[list[int], list[float], list[float]]:
    return tuple(np.round(values[0].numpy(), 4).tolist() for values in found)  # type: ignore[return-value]


def test_the_best_aligned_cells_learn_a_box() -> None:
    # IoU with LEFT: 1, 0.5, and the two others lie outside. Scores of class 2: 0.25 and 0.5.
    # Alignment with exponents 1 and 2: 0.25 · 1 and 0.5 · 0.25.
    row = scenes([LEFT], [2], [LEFT, CELLS[1], RIGHT, RIGHT], [[0.9, 0.25], [0.9, 0.5], [0.5, 0.5], [0.5, 0.5]])
    matches, overlaps, alignment = plain(assign_by_alignment(row, iou_power=2.0))
    assert matches == [0, 0, BACKGROUND, BACKGROUND]
    assert overlaps == [1.0, 0.5, 0.0, 0.0]
    assert alignment == [1.0, 0.5, 0.0, 0.0]  # t / 0.25 · 1
    assert plain(assign_by_alignment(row, iou_power=2.0, candidates=1))[0] == [0, -1, -1, -1]
    assert plain(assign_by_alignment(row, iou_power=0.5, candidates=1))[0] == [-1, 0, -1, -1]  # 0.25 < 0.5 · 0.71


def test_a_cell_that_two_boxes_want_goes_to_the_larger_iou() -> None:
    both, inner = [0.0, 0.0, 8.0, 24.0], [0.0, 8.0, 8.0, 16.0]
    row = scenes([both, inner], [1, 1], [both, inner, both, both], [[0.5]] * 4)
    matches, overlaps, _ = plain(assign_by_alignment(row))
    assert matches == [0, 1, 0, -1]
    assert overlaps == [1.0, 1.0, 1.0, 0.0]
    # Equal: the first box.
    assert plain(assign_by_alignment(scenes([LEFT, LEFT], [1, 1], [LEFT] * 4, [[0.5]] * 4)))[0] == [0, 0, -1, -1]


@pytest.mark.parametrize("assign", [assign_by_alignment, assign_by_cost])
def test_crowds_are_ignored_and_padding_is_nothing(assign) -> None:
    row = scenes([LEFT, RIGHT, [0.0, 0.0, 0.0, 0.0]], [1, CROWD, 0], [LEFT, LEFT, RIGHT, RIGHT], [[0.5]] * 4)
    assert plain(assign(row))[0] == [0, 0, IGNORED, IGNORED]
    overlapping = scenes([LEFT, LEFT], [CROWD, 1], [LEFT] * 4, [[0.5]] * 4)
    assert plain(assign(overlapping))[0] == [1, 1, BACKGROUND, BACKGROUND]  # a box before the region
    nothing = plain(assign(scenes([], [], [LEFT] * 4, [[0.5]] * 4)))
    assert nothing == ([BACKGROUND] * 4, [0.0] * 4, [0.0] * 4)


@pytest.mark.parametrize("assign", [assign_by_alignment, assign_by_cost])
def test_a_box_between_the_centers_is_learned(assign) -> None:
    tiny = [3.0, 6.0, 5.0, 10.0]  # no center inside; the first two are within a stride
    matches = plain(assign(scenes([tiny], [1], [LEFT, LEFT, RIGHT, RIGHT], [[0.5]] * 4)))[0]
    assert matches[:2] in ([0, 0], [0, -1], [-1, 0])
    assert matches[2:] == [BACKGROUND, BACKGROUND]


def test_the_sum_of_overlaps_is_the_number_of_cells() -> None:
    whole = [0.0, 0.0, 8.0, 32.0]
    # IoUs 1, 0.75, 0.5, 0.25: they add up to 2.5, so two cells, and those with the lowest cost.
    predicted = [[0.0, 0.0, 8.0, 32.0 * share] for share in (1.0, 0.75, 0.5, 0.25)]
    row = scenes([whole], [1], predicted, [[0.5]] * 4)
    assert plain(assign_by_cost(row))[0] == [0, 0, -1, -1]
    assert plain(assign_by_cost(row, candidates=1))[0] == [0, -1, -1, -1]
    # Costs by hand: entropy · (u - s)² - 3 ln u + 10^(d - 3); the center of the box is 1.5 strides from the first.
    poor = scenes([whole], [1], [[0.0, 0.0, 8.0, 6.4]] * 4, [[0.2]] * 4)  # u 0.2 throughout: one cell, the nearest
    assert plain(assign_by_cost(poor))[0].count(0) == 1
    assert plain(assign_by_cost(poor))[0][1:3].count(0) == 1


def test_images_of_a_batch_do_not_mix() -> None:
    one = scenes([LEFT], [1], [LEFT, LEFT, RIGHT, RIGHT], [[0.5]] * 4)
    two = scenes([RIGHT], [1], [LEFT, LEFT, RIGHT, RIGHT], [[0.5]] * 4)
    both = Scenes(*(tf.concat(pair, 0) for pair in list(zip(one, two, strict=True))[:4]), one.cells)
    for assign in (assign_by_alignment, assign_by_cost):
        found = assign(both)
        assert found.matches.numpy().tolist() == [[0, 0, -1, -1], [-1, -1, 0, 0]]


def test_no_gradient_flows_back() -> None:
    row = scenes([LEFT], [1], [LEFT, LEFT, RIGHT, RIGHT], [[0.5]] * 4)
    with tf.GradientTape() as tape:
        tape.watch([row.predicted, row.logits])
        found = assign_by_alignment(row)
        total = tf.reduce_sum(found.alignment + found.overlaps)
    assert tape.gradient(total, [row.predicted, row.logits]) == [None, None]
