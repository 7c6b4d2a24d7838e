import random

import numpy as np
import pytest

from mnasnet_cli.errors import ConfigError
from mnasnet_cli.nets.spec import NETS, get_spec, variable_shapes
from mnasnet_cli.searching.nets.entrants import STOCK
from mnasnet_cli.searching.nets.inheritance import check_trained_net, inherit
from mnasnet_cli.searching.nets.space import draw, net_of

CLASSES = 5


def _weights(spec, seed):
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape) for name, shape in variable_shapes(spec, CLASSES).items()}


def _inherit(spec, trained_spec, same_classes=True):
    trained = _weights(trained_spec, 1)
    initial = _weights(spec, 2)
    return inherit(initial, spec, trained, trained_spec, same_classes=same_classes), initial, trained


def test_a_net_inherits_all_of_itself():
    spec = get_spec("b1", 0.35)
    found, _, trained = _inherit(spec, spec)
    assert all(np.array_equal(found[name], trained[name]) for name in trained)


@pytest.mark.parametrize("trained", NETS)
def test_shapes_stay_those_of_the_net_whatever_is_inherited(trained):
    drawn = [net_of(draw(random.Random(seed), [64]), 0.3 + 0.2 * seed) for seed in range(6)]
    for spec in (*drawn, *(get_spec(name, 0.35) for name in STOCK)):
        found, initial, _ = _inherit(spec, get_spec(trained, 0.5))
        assert {name: value.shape for name, value in found.items()} == variable_shapes(spec, CLASSES)
        changed = sum(not np.array_equal(found[name], initial[name]) for name in found)
        assert changed > len(found) / 3


def test_a_narrower_net_takes_the_strongest_channels():
    spec, trained_spec = get_spec("b1", 0.35), get_spec("b1", 0.5)
    found, _, trained = _inherit(spec, trained_spec)
    stem = trained["Mnasnet/Conv/weights"]
    strength = np.abs(stem).sum((0, 1, 2)) * np.abs(trained["Mnasnet/Conv/BatchNorm/gamma"])
    kept = np.sort(np.argsort(-strength)[: spec.stem])
    assert np.array_equal(found["Mnasnet/Conv/weights"], stem[..., kept])
    assert np.array_equal(found["Mnasnet/Conv/BatchNorm/gamma"], trained["Mnasnet/Conv/BatchNorm/gamma"][kept])


def test_a_small_kernel_is_the_centre_of_a_large_one_and_a_large_one_is_filled_with_zeros():
    spec = get_spec("b1", 0.35)
    rows = list(spec.stages)
    rows[1:3] = [type(row)(row.repeats, 8 - row.kernel, row.stride, row.expand, row.channels) for row in rows[1:3]]
    changed = type(spec)(spec.name, spec.stem, tuple(rows), spec.head)
    found, _, trained = _inherit(changed, spec)
    large, small = (weights["Mnasnet/mb_conv/depthwise/depthwise_weights"] for weights in (found, trained))
    assert np.array_equal(large[1:4, 1:4], small)
    assert not large[0].any()
    name = "Mnasnet/mb_conv_3/depthwise/depthwise_weights"
    assert np.array_equal(found[name], trained[name][1:4, 1:4])


def test_blocks_that_the_trained_net_does_not_have_stay_random():
    spec = get_spec("b1", 0.35)
    rows = list(spec.stages)
    rows[1] = type(rows[1])(5, 3, 2, 3, rows[1].channels)
    more = type(spec)(spec.name, spec.stem, tuple(rows), spec.head)
    found, initial, _ = _inherit(more, spec)
    name = "Mnasnet/mb_conv_4/expand/weights"  # the fifth block of the second stage
    assert np.array_equal(found[name], initial[name])


def test_the_classifier_stays_random_for_other_classes():
    spec = get_spec("b1", 0.35)
    found, initial, _ = _inherit(spec, spec, same_classes=False)
    name = "Mnasnet/Conv2d_1c_1x1/weights"
    assert np.array_equal(found[name], initial[name])


def test_nets_with_other_stages_have_nothing_to_inherit():
    check_trained_net("runs/a1", NETS["a1"])
    with pytest.raises(ConfigError, match="--init runs/tiny has 1 stages with other strides"):
        check_trained_net("runs/tiny", type(NETS["a1"])("tiny", 8, NETS["a1"].stages[:1]))
