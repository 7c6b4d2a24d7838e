"""Initial values of the weights, and weight decay."""

from __future__ import annotations

import numpy as np
import pytest
from graph_contents import initial_values
from tiny_a1 import TINY

from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.slim_compat import slim, tf1


def test_weight_decay_excludes_only_batch_norm(graph, images):
    with slim.arg_scope(mnasnet.training_scope(weight_decay=0.5)):
        mnasnet.mnasnet_base(images, TINY)
    decayed = [v for v in tf1.trainable_variables() if "BatchNorm" not in v.op.name]
    losses = tf1.losses.get_regularization_losses()
    assert len(losses) == len(decayed)
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        values, found = session.run([decayed, losses])
    assert sum(found) == pytest.approx(sum(0.5 * (value**2).sum() / 2 for value in values), rel=1e-4)


def test_depthwise_kernels_can_be_left_out(graph, images):
    with slim.arg_scope(mnasnet.training_scope(regularize_depthwise=False)):
        mnasnet.mnasnet_base(images, TINY)
    names = [loss.op.name for loss in tf1.losses.get_regularization_losses()]
    assert names
    assert not [name for name in names if "depthwise" in name]


def test_no_weight_decay(graph, images):
    with slim.arg_scope(mnasnet.training_scope(weight_decay=0.0)):
        mnasnet.mnasnet_base(images, TINY)
    assert not tf1.losses.get_regularization_losses()


def test_initial_values(graph, images):
    with slim.arg_scope(mnasnet.training_scope()):
        mnasnet.mnasnet_base(images, TINY, num_classes=100)
    values = initial_values()
    deviation = {name: float(np.std(value)) for name, value in values.items()}
    # sqrt(2 / fan-out): 3·3·32 for the stem, 5·5 for a depthwise kernel, 120 and 40 for expand and project.
    assert deviation["Mnasnet/Conv/weights"] == pytest.approx((2 / 288) ** 0.5, rel=0.1)
    assert deviation["Mnasnet/mb_conv_1/depthwise/depthwise_weights"] == pytest.approx((2 / 25) ** 0.5, rel=0.1)
    assert deviation["Mnasnet/mb_conv_1/expand/weights"] == pytest.approx((2 / 120) ** 0.5, rel=0.1)
    assert deviation["Mnasnet/mb_conv_1/project/weights"] == pytest.approx((2 / 40) ** 0.5, rel=0.1)
    logits = values["Mnasnet/Conv2d_1c_1x1/weights"]
    assert np.abs(logits).max() == pytest.approx(0.1, rel=0.01)  # uniform in ±1 / sqrt(100)
    assert deviation["Mnasnet/Conv2d_1c_1x1/weights"] == pytest.approx(0.1 / 3**0.5, rel=0.1)
    assert not values["Mnasnet/Conv2d_1c_1x1/biases"].any()


def test_initial_values_with_one_deviation(graph, images):
    with slim.arg_scope(mnasnet.training_scope(stddev=0.09)):
        mnasnet.mnasnet_base(images, TINY, num_classes=100)
    for name, value in initial_values().items():
        if name.endswith("weights"):
            assert np.abs(value).max() <= 0.18, name


@pytest.mark.parametrize("normalizer_params", [None, {"epsilon": 0.25}])
def test_zero_init_residual(graph, images, normalizer_params):
    with slim.arg_scope([slim.conv2d], normalizer_params=normalizer_params):
        _, end_points = mnasnet.mnasnet_base(images, TINY, is_training=True, zero_init_residual=True)
    zero = {name for name, value in initial_values().items() if "gamma" in name and not value.any()}
    assert zero == {"Mnasnet/mb_conv_1/project/BatchNorm/gamma"}  # the first one has no skip
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        first, last = session.run([end_points["layer_3"], end_points["layer_4"]])
    np.testing.assert_array_equal(first, last)
