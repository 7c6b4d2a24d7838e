"""Training mode, batch norm and dropout, with and without outer arg scopes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from graph_contents import dropouts, initial_values, norms, operations, updates
from tiny_a1 import NORMS, TINY

from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.slim_compat import slim, tf1
from mnasnet_cli.nets.spec import NETS, Dialect


@pytest.mark.parametrize(
    ("scope", "call", "trains"),
    [
        (None, None, False),  # by default slim's nets are built for inference
        (None, True, True),
        (True, None, True),
        (True, False, False),
        (False, True, True),
        (False, None, False),
    ],
)
def test_is_training_of_the_call_overrides_the_scope(graph, images, scope, call, trains):
    arguments = {} if scope is None else mnasnet.training_scope(is_training=scope)
    with slim.arg_scope(arguments):
        mnasnet.mnasnet_base(images, TINY, is_training=call)
    assert {norm.get_attr("is_training") for norm in norms()} == {trains}
    assert updates() == (2 * NORMS if trains else 0)
    assert len(dropouts()) == trains


def test_a_scope_without_is_training_uses_the_outer_one(graph, images):
    # As the Object Detection API does: its own scope on batch norm, training_scope(is_training=None) inside.
    with slim.arg_scope([slim.batch_norm], is_training=True):
        inner = mnasnet.training_scope(is_training=None)
    with slim.arg_scope(inner):
        mnasnet.mnasnet_base(images, TINY, final_endpoint="layer_2")
    assert {norm.get_attr("is_training") for norm in norms()} == {True}


def test_is_training_may_be_a_tensor(run, images):
    flag = tf1.placeholder(tf.bool, [])
    with slim.arg_scope(mnasnet.training_scope(updates_collections=None)):
        logits, _ = mnasnet.mnasnet_base(images, TINY, is_training=flag)
    again = mnasnet.mnasnet_base(images, TINY, is_training=False, reuse=True)[0]
    a, b = run([logits, again], {flag: False})
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_scope_overrides_the_batch_norm_settings_of_the_spec(graph, images):
    spec = dataclasses.replace(TINY, dialect=Dialect(batch_norm_epsilon=1e-5))
    mnasnet.mnasnet_base(images, spec, final_endpoint="layer_1", scope="A")
    with slim.arg_scope(mnasnet.training_scope(batch_norm_epsilon=0.25)):
        mnasnet.mnasnet_base(images, spec, final_endpoint="layer_1", scope="B")
    assert [norm.get_attr("epsilon") for norm in norms()] == pytest.approx([1e-5, 0.25])


@pytest.mark.parametrize(("name", "decay"), [("a1", 0.99), ("a1-2019", 0.9997)])
def test_moving_statistics_follow_the_dialect(graph, images, name, decay):
    with slim.arg_scope(mnasnet.training_scope(updates_collections=None)):
        net, _ = mnasnet.mnasnet_base(images, NETS[name], final_endpoint="layer_1")
    variance = next(v for v in tf1.global_variables() if v.op.name.endswith("moving_variance"))
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        batch, _ = session.run([norms()[0].outputs[2], net])
        assert session.run(variance) == pytest.approx(1 + (1 - decay) * (batch - 1), rel=1e-3)


def test_activation_of_the_dialect(graph, images):
    mnasnet.mnasnet_base(images, TINY, num_classes=None)
    assert not operations("Relu6")
    port = dataclasses.replace(TINY, dialect=NETS["a1-2019"].dialect)
    mnasnet.mnasnet_base(images, port, num_classes=None, scope="Port")
    assert len(operations("Relu6")) == 1 + 1 + 2 * 2 + 1


def test_frozen_until(graph, images):
    names = [f"layer_{number}" for number in range(1, 6)]
    # layer_2 is the block without an expansion; 3 and 4 have three norms each.
    for layer, frozen in zip([None, *names], [0, 1, 1 + 2, 1 + 2 + 3, 1 + 2 + 6, NORMS], strict=True):
        with tf.Graph().as_default():
            mnasnet.mnasnet_base(
                tf.zeros([1, 32, 32, 3]), TINY, is_training=True, frozen_until=layer, dropout_keep_prob=1.0
            )
            trains = [norm.get_attr("is_training") for norm in norms()]
            assert trains == [False] * frozen + [True] * (NORMS - frozen), layer
            assert updates() == 2 * (NORMS - frozen)
    with pytest.raises(ValueError, match="frozen_until must be one of layer_1 … layer_5"):
        mnasnet.mnasnet_base(images, TINY, frozen_until="layer_6")


def test_dropout(graph, images):
    seen = []
    with slim.arg_scope(mnasnet.training_scope()):
        for options in ({}, {"is_training": False}, {"dropout_keep_prob": 0.5}):
            mnasnet.mnasnet_base(
                images,
                TINY,
                reuse=tf1.AUTO_REUSE,
                dropout_fn=lambda *seen_: seen.append(seen_[1:]) or seen_[0],
                **options,
            )
    with slim.arg_scope(mnasnet.training_scope(dropout_keep_prob=0.7)):
        mnasnet.mnasnet_base(images, TINY, reuse=True, dropout_fn=lambda *seen_: seen.append(seen_[1:]) or seen_[0])
    assert seen == [(0.8, True), (0.8, False), (0.5, True), (0.7, True)]
    assert not dropouts()


def test_dropout_of_slim(run, images):
    with slim.arg_scope(mnasnet.training_scope()):
        features, _ = mnasnet.mnasnet_base(
            images, TINY, num_classes=3, dropout_keep_prob=0.5, prediction_fn=lambda logits: logits
        )
    assert len(dropouts()) == 1
    assert run(features).shape == (2, 3)


def test_scope_of_separable_convolution_reaches_ours(graph, images):
    with slim.arg_scope(
        [slim.conv2d, slim.separable_conv2d],
        weights_initializer=tf1.constant_initializer(0.25),
        weights_regularizer=slim.l2_regularizer(1.0),
        normalizer_params={"epsilon": 0.125},
        outputs_collections="outputs",
    ):
        mnasnet.mnasnet_base(images, TINY)
    assert all((value == 0.25).all() for name, value in initial_values().items() if name.endswith("weights"))
    assert {norm.get_attr("epsilon") for norm in norms()} == {0.125}
    kernels = [v for v in tf1.trainable_variables() if v.op.name.endswith("weights")]
    assert len(tf1.losses.get_regularization_losses()) == len(kernels)
    assert len(tf1.get_collection("outputs")) == len(kernels)


def test_bfloat16_computes_on_float32_variables(graph, images):
    logits, end_points = mnasnet.mnasnet_base(tf.cast(images, tf.bfloat16), TINY, is_training=True)
    assert logits.dtype == end_points["layer_1"].dtype == tf.bfloat16
    assert {variable.dtype.base_dtype for variable in tf1.global_variables()} == {tf.float32}


def test_updates_in_place(graph, images):
    with slim.arg_scope(mnasnet.training_scope(updates_collections=None)):
        mnasnet.mnasnet_base(images, TINY)
    assert updates() == 0
    with slim.arg_scope(mnasnet.training_scope(updates_collections="mine")):
        mnasnet.mnasnet_base(images, TINY, scope="Mine")
    assert len(tf1.get_collection("mine")) == 2 * NORMS


def test_the_loss_falls_in_tensorflow_2():
    """In a tf.function, with a custom getter for variables, and statistics updated in place."""
    variables: dict = {}

    def getter(getter, name, shape=None, dtype=None, initializer=None, trainable=True, **_):
        if name not in variables:
            with tf.init_scope():
                variables[name] = tf.Variable(initializer(shape, dtype=dtype), trainable=trainable, name=name)
        return variables[name]

    def net(pixels):
        scope = tf1.VariableScope(reuse=False, custom_getter=getter)
        with tf1.variable_scope(scope), slim.arg_scope(mnasnet.training_scope(updates_collections=None)):
            return mnasnet.mnasnet_base(pixels, TINY, num_classes=4)[0]

    @tf.function(autograph=False)
    def step(pixels, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, net(pixels)))
        trainable = [variable for name, variable in variables.items() if "moving" not in name]
        for variable, gradient in zip(trainable, tape.gradient(loss, trainable), strict=True):
            variable.assign_sub(0.1 * gradient)
        return loss

    tf.random.set_seed(0)
    pixels = tf.random.stateless_uniform([8, 32, 32, 3], [1, 2], -1, 1)
    losses = [float(step(pixels, tf.constant([0, 1, 2, 3] * 2))) for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]
    assert np.abs(variables["Mnasnet/Conv/BatchNorm/moving_mean"].numpy()).max() > 1e-4
