import pytest

from mnasnet_cli.searching.page import spread


def test_names_keep_their_order_and_a_distance():
    heights = spread([50.0, 50.1, 60.0, 49.9], 1.0)
    order = sorted(range(4), key=heights.__getitem__)
    assert order == [3, 0, 1, 2]
    gaps = [heights[order[place + 1]] - heights[order[place]] for place in range(3)]
    assert min(gaps) == pytest.approx(1.0)


def test_names_far_apart_stay_at_their_points():
    assert spread([1.0, 5.0, 9.0], 1.0) == [1.0, 5.0, 9.0]
