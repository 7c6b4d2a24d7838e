import pytest

from mnasnet_cli.nets.spec import get_spec, multiply_adds
from mnasnet_cli.searching.nets.solving import Solved, solve_width, uses_limit


def _b1(width):
    return get_spec("b1", width)


def _latency(spec):
    return multiply_adds(spec, 128, 10) / 3e7


def test_the_width_is_the_largest_within_the_limit():
    solved = solve_width(_b1, _latency, 2.0)
    assert solved.predicted_ms <= 2.0
    assert _latency(_b1(solved.width + 0.05)) > 2.0
    assert solved.spec == _b1(solved.width)
    assert solved.width == round(solved.width, 3)


@pytest.mark.parametrize("limit", [4.0, 8.0, 16.0])
def test_nets_of_some_size_use_the_limit(limit):
    assert uses_limit(solve_width(_b1, _latency, limit), limit)


def test_a_limit_that_no_width_meets_has_no_net():
    assert solve_width(_b1, _latency, 0.01) is None


def test_a_limit_that_every_width_meets_gives_the_widest():
    assert solve_width(_b1, _latency, 1e6).width == 3.0


def test_less_than_97_percent_does_not_use_the_limit():
    spec = _b1(1.0)
    assert not uses_limit(Solved(1.0, spec, 0.969), 1.0)
    assert uses_limit(Solved(1.0, spec, 0.97), 1.0)
    assert not uses_limit(Solved(1.0, spec, 1.001), 1.0)
