import pytest

from mnasnet_cli.searching.rungs import (
    Rung,
    candidates_within,
    in_doubt,
    kept,
    make_rungs,
    ranking,
    seed_deviation,
    trainings_seconds,
)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (10, [(3, 0.5), (5, 0.75), (10, 1.0)]),
        (40, [(12, 0.5), (20, 0.75), (40, 1.0)]),
        (6, [(3, 0.5), (6, 1.0)]),
        (4, [(3, 0.5), (4, 1.0)]),
    ],
)
def test_rungs_of_a_recipe(epochs, expected):
    assert [(rung.epochs, rung.size_share) for rung in make_rungs(epochs)] == expected


def test_image_sizes_of_rungs_are_multiples_of_32_or_the_whole():
    assert [Rung(3, share).image_size(128) for share in (0.5, 0.75, 1.0)] == [64, 96, 128]
    assert [Rung(3, share).image_size(48) for share in (0.5, 0.75, 1.0)] == [32, 32, 48]


@pytest.mark.parametrize(("count", "expected"), [(24, 8), (8, 3), (4, 3), (2, 2)])
def test_a_third_goes_on_but_three_at_least(count, expected):
    assert kept(count) == expected


def test_ranking_is_by_mean_and_then_by_order():
    assert ranking({"a": [0.5], "b": [0.4, 0.8], "c": [0.5]}) == ["b", "a", "c"]


def test_the_deviation_starts_from_the_usual_one_and_follows_pairs():
    assert seed_deviation([[0.5], [0.4]]) == pytest.approx(0.015)
    # Four pairs of the prior and a hundred that differ by 4 points: a deviation of √8 points each.
    assert seed_deviation([[0.50, 0.54]] * 100) == pytest.approx(0.0284, rel=0.03)


def test_nets_within_noise_of_the_cut_are_in_doubt():
    scores = {"a": [0.60], "b": [0.52], "c": [0.50], "d": [0.40]}
    assert in_doubt(scores, 2, deviation=0.015) == ["b", "c"]
    assert in_doubt(scores, 2, deviation=0.001) == []
    assert in_doubt(scores, 4, deviation=1.0) == []  # all go on


def test_a_net_with_two_seeds_is_in_doubt_no_more():
    assert in_doubt({"a": [0.52, 0.53], "b": [0.51]}, 1, deviation=0.015) == ["b"]


def test_at_most_half_of_the_nets_are_in_doubt():
    scores = {f"n{number}": [0.5 + 1e-4 * number] for number in range(10)}
    assert len(in_doubt(scores, 5, deviation=0.05)) == 5


def test_the_budget_decides_how_many_nets_are_drawn():
    by_rung = [30.0, 60.0, 120.0]
    count = candidates_within(3600 * 2, by_rung, stock=5)
    assert trainings_seconds(count, by_rung, 5) <= 7200 < trainings_seconds(count + 1, by_rung, 5)
    assert candidates_within(60.0, by_rung, stock=5) == 0
