import random

import numpy as np
import pytest
from searched import make_plan, multiply_adds_of

from mnasnet_cli.nets.spec import get_spec
from mnasnet_cli.searching.calibration import predictor_of
from mnasnet_cli.searching.latency.parts import Part, measured_parts, parts_of
from mnasnet_cli.searching.latency.predictors import PartsTable
from mnasnet_cli.searching.nets.entrants import STOCK, covering_nets
from mnasnet_cli.searching.nets.space import draw, net_of
from mnasnet_cli.searching.scheduler import replay
from mnasnet_cli.searching.tasks import Pending

SIZES = (32, 64)


def _measure(plan, found, noise=0.0):
    """Do all measurements: a part takes its cost, a whole net a quarter more than its parts."""
    generator = np.random.default_rng(0)
    while True:
        try:
            return predictor_of(plan, found)
        except Pending as pending:
            for task in pending.tasks:
                if task.kind == "parts":
                    exact = [Part(**part).cost(plan.classes) / 1e7 for part in task.payload["parts"]]
                else:
                    exact = [_whole(plan, net) for net in task.payload["nets"]]
                noisy = [one * float(np.exp(noise * generator.normal())) for one in exact]
                found[task.key] = {"ms": noisy, "busy": 1.0, "seconds": 9.0}


def _whole(plan, net):
    from mnasnet_cli.config.net_table import NetTable

    return 1.25 * _parts(plan, NetTable.model_validate(net["table"]).spec, net["input_size"])


def _parts(plan, spec, size):
    return sum(part.cost(plan.classes) / 1e7 for part in parts_of(spec, size))


def test_the_table_covers_every_net_that_is_solved():
    plan = make_plan(phone_nets=(), image_sizes=SIZES)
    parts = measured_parts(covering_nets(plan))
    assert len(parts) < 1200
    table = PartsTable([(part, part.cost(plan.classes)) for part in parts], plan.classes)
    generator = random.Random(0)
    for width in (0.1, 0.31, 0.5, 1.0, 1.7, 3.0):
        nets = [net_of(draw(generator, SIZES), width) for _ in range(10)] + [get_spec(name, width) for name in STOCK]
        for spec in nets:
            for size in SIZES:
                assert table.by_stage(spec, size).sum() > 0


def test_predictions_from_parts_and_whole_nets():
    plan = make_plan(phone_nets=(), limits_ms=(1.0,))
    predict = _measure(plan, {}, noise=0.02)
    generator, errors = random.Random(1), []
    for number in range(20):
        spec = net_of(draw(generator, [32]), 0.5 + 0.05 * number)
        errors.append(abs(predict(spec, 32) / (1.25 * _parts(plan, spec, 32)) - 1))
    assert np.mean(errors) < 0.03


def test_stock_nets_are_measured_as_a_whole_and_solved_again_where_they_are_off():
    plan = make_plan(phone_nets=(), limits_ms=(1.0,))
    found: dict[str, object] = {}
    _measure(plan, found)
    (first,) = replay(plan, found).tasks
    assert first.key.startswith("nets-stock-1-")
    # One net is a tenth slower than predicted; the machine as a whole, and so the reference net, is twice as slow.
    exact = [2 * _whole(plan, net) for net in first.payload["nets"]]
    exact[2] *= 1.1
    found[first.key] = {"ms": exact, "busy": 1.0, "seconds": 9.0}
    (second,) = replay(plan, found).tasks
    assert second.key.startswith("nets-stock-2-")
    assert len(second.payload["nets"]) == 2  # the reference net and the one that was off
    assert multiply_adds_of(second.payload["nets"][1]) < multiply_adds_of(first.payload["nets"][2])
    found[second.key] = {"ms": [_whole(plan, net) * f for net, f in zip(second.payload["nets"], (1, 1.1), strict=True)],
                         "busy": 1.0, "seconds": 9.0}  # fmt: skip
    state = replay(plan, found)
    assert {task.kind for task in state.tasks} == {"train"}
    measured = [one.measured_ms for one in state.contests[0].entrants.values() if one.is_stock]
    assert measured == pytest.approx([1.0] * len(measured), rel=0.2)
