"""The layout of the anchors, which every checkpoint depends on."""

from __future__ import annotations

import numpy as np
import pytest

from mnasnet_cli.geometry.anchors import anchors, level_anchors, level_sizes


def test_the_default_config_has_51150_anchors():
    assert level_sizes(640, 640) == [(80, 80), (40, 40), (20, 20), (10, 10), (5, 5)]
    # (6400 + 1600 + 400 + 100 + 25) · 6
    assert [len(level) for level in level_anchors(640, 640)] == [38400, 9600, 2400, 600, 150]
    assert anchors(640, 640).shape == (51150, 4)
    assert anchors(640, 640).dtype == np.float32


def test_first_cell_of_the_finest_level():
    # Center (4, 4); base 4 · 8 = 32 px; scales 1 and √2; for a ratio r the height is s·32/√r and the width s·32·√r.
    # Half sides: 16 | 16√2 = 22.6274 | 32/√2/2 = 11.3137 | 32√2/2 = 22.6274 | 32.
    a, b, c = 16, 22.627417, 11.313708
    expected = [
        [4 - a, 4 - a, 4 + a, 4 + a],  # ratio 1, scale 1
        [4 - b, 4 - b, 4 + b, 4 + b],  # ratio 1, scale √2
        [4 - c, 4 - b, 4 + c, 4 + b],  # ratio 2: twice as wide as high
        [4 - 16, 4 - 32, 4 + 16, 4 + 32],
        [4 - b, 4 - c, 4 + b, 4 + c],  # ratio 1/2
        [4 - 32, 4 - 16, 4 + 32, 4 + 16],
    ]
    np.testing.assert_allclose(anchors(640, 640)[:6], expected, rtol=1e-6)


def test_cells_are_ordered_by_row():
    level = level_anchors(64, 128)[0].reshape(8, 16, 6, 4)
    centers = (level[..., :2] + level[..., 2:]) / 2
    np.testing.assert_allclose(centers[0, 1, 0], [4, 12])
    np.testing.assert_allclose(centers[2, 5, 3], [20, 44])


@pytest.mark.parametrize(
    ("height", "width", "level", "first", "cells"),
    [
        (640, 640, 7, (64, 64), (5, 5)),
        (320, 320, 6, (32, 32), (5, 5)),
        (320, 320, 7, (0, 0), (3, 3)),  # 320 is not a multiple of 128: centers at 0, 128, 256
        (384, 512, 7, (64, 64), (3, 4)),
        (300, 512, 3, (0, 4), (38, 64)),  # each side on its own: 300 / 8 = 37.5
    ],
)
def test_centers_are_those_of_the_object_detection_api(height, width, level, first, cells):
    boxes = level_anchors(height, width)[level - 3].reshape(*cells, 6, 4)
    centers = (boxes[..., :2] + boxes[..., 2:]) / 2
    np.testing.assert_allclose(centers[0, 0], [first] * 6, atol=1e-4)
    stride = 2**level
    np.testing.assert_allclose(centers[1, 1] - centers[0, 0], [[stride, stride]] * 6, atol=1e-4)


def test_largest_anchors():
    # Level 7: base 4 · 128 = 512 px, times √2, ratio 2: 512 high, 1024 wide.
    height, width = np.subtract(anchors(640, 640)[-3][2:], anchors(640, 640)[-3][:2])
    assert (height, width) == pytest.approx((512, 1024))
