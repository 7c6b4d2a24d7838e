import random

import pytest

from mnasnet_cli.nets.spec import NETS, count_parameters, get_spec, multiply_adds
from mnasnet_cli.searching.latency.parts import measured_parts, parts_of
from mnasnet_cli.searching.latency.predictors import PartsTable, RegressionPredictor, TablePredictor
from mnasnet_cli.searching.nets.space import draw, net_of

CLASSES, SIZE = 10, 64


def _nets(count, seed=0):
    generator = random.Random(seed)
    return [net_of(draw(generator, [SIZE]), 0.3 + 0.05 * (number % 20)) for number in range(count)]


def _true_ms(spec):
    return sum(part.cost(CLASSES) for part in parts_of(spec, SIZE)) / 1e7


def _table():
    covering = [(net_of(draw(random.Random(seed), [SIZE]), 1.0), SIZE) for seed in range(200)]
    parts = measured_parts([*covering, *((NETS[name], SIZE) for name in ("a1", "b1", "small", "d1"))])
    return PartsTable([(part, 0.8 * part.cost(CLASSES) / 1e7) for part in parts], CLASSES)


def test_a_part_of_each_layer():
    spec = get_spec("b1", 0.5)
    assert len(list(parts_of(spec, SIZE))) == 1 + sum(stage.repeats for stage in spec.stages) + 1


def test_the_table_adds_up_its_parts_and_takes_the_scale_from_whole_nets():
    table = _table()
    predict = TablePredictor(table, [(spec, SIZE, _true_ms(spec)) for spec in _nets(8)])
    assert predict.scales == pytest.approx([1.25, 1.25, 1.25], rel=0.01)
    for spec in [*_nets(10, seed=1), get_spec("a1", 0.7), get_spec("d1", 0.4)]:
        assert predict(spec, SIZE) == pytest.approx(_true_ms(spec), rel=0.02)


def test_the_scale_of_the_table_grows_with_the_weights():
    def latency(spec):
        return _true_ms(spec) * (1 + 0.1 * count_parameters(spec, CLASSES) / 1e6)

    predict = TablePredictor(_table(), [(spec, SIZE, latency(spec)) for spec in _nets(18)])
    assert predict.growth > 0.03
    for spec in _nets(10, seed=1):
        assert predict(spec, SIZE) == pytest.approx(latency(spec), rel=0.03)


def test_nets_of_one_size_say_nothing_about_growth():
    spec = get_spec("b1", 0.5)
    nets = [(spec, SIZE, (1.02 if number % 2 else 0.98) * _true_ms(spec)) for number in range(8)]
    assert TablePredictor(_table(), nets).growth == pytest.approx(0.0, abs=1e-6)


def test_wider_parts_are_never_faster_in_the_table():
    (part,) = [one for one in parts_of(get_spec("b1", 0.5), SIZE) if one.kind == "head"]
    table = PartsTable([(part, 2.0), (next(iter(measured_parts([(get_spec("b1", 1.0), SIZE)])), part), 1.0)], CLASSES)
    assert table.latency(part) == 2.0


def test_a_family_that_was_not_measured_is_an_error():
    with pytest.raises(KeyError):
        PartsTable([], CLASSES).latency(next(parts_of(get_spec("b1"), SIZE)))


def test_the_regression_learns_from_whole_nets():
    def latency(spec):
        return 0.2 + multiply_adds(spec, SIZE, CLASSES) / 5e6

    predict = RegressionPredictor([(spec, SIZE, latency(spec)) for spec in _nets(30)], CLASSES)
    assert predict.error < 0.05
    for spec in _nets(10, seed=1):
        assert predict(spec, SIZE) == pytest.approx(latency(spec), rel=0.05)
