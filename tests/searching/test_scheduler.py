import math
import random
from statistics import fmean

import pytest
from searched import make_plan, result_of, to_the_end

from mnasnet_cli.errors import ConfigError
from mnasnet_cli.searching.nets.entrants import STOCK
from mnasnet_cli.searching.outcome import busy_note, outcome_of, table_rows
from mnasnet_cli.searching.rungs import ranking
from mnasnet_cli.searching.scheduler import replay, rounded


def test_the_course_is_a_function_of_plan_and_results():
    plan = make_plan()
    state, found = to_the_end(plan)
    items = list(found.items())
    random.Random(1).shuffle(items)
    assert outcome_of(plan, replay(plan, dict(items))) == outcome_of(plan, state)


def test_another_seed_draws_other_nets():
    specs = []
    for seed in (0, 1):
        state = replay(make_plan(seed=seed), {})
        specs.append({one.spec for one in state.contests[0].entrants.values() if not one.is_stock})
    assert not specs[0] & specs[1]


def test_stock_nets_always_reach_the_last_rung():
    state, _ = to_the_end(make_plan())
    (contest,) = state.contests
    assert {name for name in contest.entrants if contest.entrants[name].is_stock} <= set(contest.in_last)
    assert {"a1", "b1", "small"} <= set(contest.in_last) & set(STOCK)


def test_the_best_third_goes_on():
    state, _ = to_the_end(make_plan(candidates=12))
    (contest,) = state.contests
    first = {name: s for name, s in contest.scores[0].items() if not contest.entrants[name].is_stock}
    second = {name for name in contest.scores[1] if not contest.entrants[name].is_stock}
    assert len(first) == 12
    assert second == set(ranking(first)[:4])


def test_the_second_half_are_mutations():
    state, _ = to_the_end(make_plan(candidates=6))
    (contest,) = state.contests
    parents = [one.genes for one in contest.entrants.values() if one.genes and (one.is_stock or one.name <= "n003")]
    for name in ("n004", "n005", "n006"):
        child = contest.entrants[name].genes
        changes = [sum(a != b for a, b in zip(child.choices, one.choices, strict=True)) for one in parents]
        assert 1 <= min(changes) <= 3


def test_every_net_is_within_97_to_100_percent_of_the_limit():
    state, _ = to_the_end(make_plan(limits_ms=(4.0, 9.0)))
    for contest in state.contests:
        for one in contest.entrants.values():
            share = one.solved.predicted_ms / contest.limit_ms
            assert share <= 1.03 if one.is_stock else 0.97 <= share <= 1.0


def test_the_last_rung_has_two_seeds_and_the_validation_split_decides_nothing():
    plan = make_plan()
    state, found = to_the_end(plan)
    (contest,) = state.contests
    assert all(len(values) == 2 for values in contest.validation.values())
    other = {
        key: {**one, "validation": 1.0 - one["validation"]} if one.get("validation") is not None else one
        for key, one in found.items()
    }
    again = replay(plan, other)
    assert again.contests[0].scores == contest.scores
    assert list(again.contests[0].in_last) == list(contest.in_last)


def test_a_limit_that_no_net_meets_is_refused_before_any_training_with_the_range():
    with pytest.raises(ConfigError, match=r"no net has a latency of 0.0001 ms here: expected .* to .* ms"):
        replay(make_plan(limits_ms=(0.0001,)), {})
    with pytest.raises(ConfigError, match="no net has a latency of 1e\\+06 ms"):
        replay(make_plan(limits_ms=(4.0, 1e6)), {})


def test_a_budget_decides_how_many_nets_are_drawn():
    plan = make_plan(candidates=None, budget_seconds=3600.0)
    state = replay(plan, {})
    assert [task.kind for task in state.tasks] == ["time"]
    assert state.candidates is None
    found = {task.key: result_of(task) for task in state.tasks}
    assert replay(plan, found).candidates > 6
    with pytest.raises(ConfigError, match=r"--budget 1 min 00 s is too short: .* take about"):
        replay(make_plan(candidates=None, budget_seconds=60.0), found)


def test_the_outcome_recommends_a_stock_net_where_no_found_one_is_better():
    plan = make_plan()
    state, found = to_the_end(plan)
    names = {name for name, one in state.contests[0].entrants.items() if one.is_stock}

    def outcome(bonus):
        changed = {}
        for key, one in found.items():
            is_stock = any(f"-{name}-" in key for name in names)
            better = one["validation"] is not None and is_stock == (bonus == "stock")
            changed[key] = {**one, "validation": 0.9} if better else one
        return outcome_of(plan, replay(plan, changed))["fronts"][0]

    stock, drawn = outcome("stock"), outcome("drawn")
    assert "no found net is better than the best stock net" in stock["verdict"]
    assert stock["recommended"] == stock["best_stock"]
    assert drawn["recommended"] == drawn["best_found"] == "net-01"
    assert "points better than the best stock net" in drawn["verdict"]


def test_a_point_is_noise_also_where_both_nets_have_the_same_score_twice():
    plan = make_plan()
    _, found = to_the_end(plan)

    def verdict(difference):
        changed = {
            key: {**one, "validation": 0.5 + difference * ("-n0" in key)} if one["validation"] is not None else one
            for key, one in found.items()
        }
        return outcome_of(plan, replay(plan, changed))["fronts"][0]["verdict"]

    assert "1.0 points better" in verdict(0.01)
    assert verdict(0.01).endswith("within the noise of 2 seeds")
    assert "noise" not in verdict(0.05)


def test_a_range_of_limits_is_rounded_inwards():
    assert [rounded(ms, math.ceil) for ms in (0.8812, 0.02)] == ["0.89", "0.02"]
    assert [rounded(ms, math.floor) for ms in (243.0, 97.9, 9.99)] == ["240", "97", "9.9"]


def test_the_table_has_a_row_for_each_net_of_the_last_rung():
    plan = make_plan()
    state, _ = to_the_end(plan)
    (front,) = outcome_of(plan, state)["fronts"]
    rows = table_rows(front)
    assert len(rows) == len(state.contests[0].in_last)
    order = [fmean(row["held_out"]) for row in front["nets"]]
    assert order == sorted(order, reverse=True)


def test_a_rung_that_would_drop_nobody_is_left_out():
    _, found = to_the_end(make_plan(candidates=6))
    assert {key.rpartition("-rung")[2][0] for key in found} == {"1", "3"}
    _, found = to_the_end(make_plan(candidates=12))
    assert {key.rpartition("-rung")[2][0] for key in found} == {"1", "2", "3"}


def test_what_is_measured_later_does_not_change_what_the_budget_decided():
    plan = make_plan(candidates=None, budget_seconds=3600.0)
    found = {task.key: result_of(task) for task in replay(plan, {}).tasks}
    count = replay(plan, found).candidates
    later = {"nets-finalists-1-abcdef12": {"ms": [1.0], "busy": 1.0, "seconds": 900.0}}
    assert replay(plan, {**found, **later}).candidates == count


def test_a_busy_machine_is_told_beside_the_verdict():
    plan = make_plan()
    state, _ = to_the_end(plan)
    assert busy_note(outcome_of(plan, state)) is None
    state.busy = 1.63
    assert "up to 1.6 times their processor time" in (busy_note(outcome_of(plan, state)) or "")
