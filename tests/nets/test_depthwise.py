"""The depthwise convolution equals TensorFlow's, gradients included, and exports as one operation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.nets.depthwise import depthwise_conv2d

# (images, height, width, channels, filter, stride, padding): the kinds of layer in the nets, and odd ones.
CASES = [
    (2, 14, 14, 24, 3, 1, "SAME"),
    (2, 14, 14, 24, 3, 2, "SAME"),
    (3, 14, 14, 24, 5, 1, "SAME"),
    (3, 14, 14, 24, 5, 2, "SAME"),
    (3, 13, 11, 24, 5, 2, "SAME"),  # odd sides pad differently at stride 2
    (9, 7, 7, 40, 5, 1, "SAME"),  # two chunks of unequal size
    (2, 4, 4, 16, 5, 1, "SAME"),  # image smaller than the filter
    (2, 1, 1, 16, 5, 2, "SAME"),
    (2, 17, 18, 24, 5, 1, "VALID"),
    (2, 18, 17, 24, 5, 2, "VALID"),  # the last row is read by no output
    (2, 12, 12, 8, 6, 1, "SAME"),  # even filter
]
# Filters and strides that no net has.
LARGER = [(2, 12, 10, 17, 7, 1, "SAME"), (2, 12, 10, 17, 7, 2, "SAME"), (2, 12, 10, 24, 5, 3, "SAME")]


def _case(images: int, height: int, width: int, channels: int, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    random = np.random.RandomState(0)
    x = random.randn(images, height, width, channels).astype(np.float32)
    return tf.constant(x), tf.constant(random.randn(size, size, channels, 1).astype(np.float32))


def _results(convolve, x: tf.Tensor, kernel: tf.Tensor) -> list[tf.Tensor]:  # type: ignore[no-untyped-def]
    """Output, input gradient and filter gradient of a weighted sum of the output."""

    @tf.function(autograph=False)
    def run(x: tf.Tensor, kernel: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(x, kernel)
            weights = tf.reshape(tf.sin(tf.range(tf.size(y), dtype=tf.float32)), tf.shape(y))
            loss = tf.reduce_sum(y * weights)
        return [y, *tape.gradient(loss, [x, kernel])]

    return run(x, kernel)


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.variation) for case in LARGER)], ids=str
)
def test_equals_tensorflow(case: tuple[int, int, int, int, int, int, str]) -> None:
    images, height, width, channels, size, stride, padding = case
    x, kernel = _case(images, height, width, channels, size)
    ours = _results(lambda x, k: depthwise_conv2d(x, k, stride, padding), x, kernel)
    theirs = _results(lambda x, k: tf.nn.depthwise_conv2d(x, k, [1, stride, stride, 1], padding), x, kernel)
    names = ("output", "input gradient", "filter gradient")
    for name, mine, expected in zip(names, ours, theirs, strict=True):
        scale = float(tf.reduce_max(tf.abs(expected)))
        np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-5 * scale, err_msg=name)


def test_the_fast_gradient_is_used_with_onednn() -> None:
    from tensorflow.python.util import _pywrap_util_port

    @tf.function(autograph=False)
    def gradient(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(depthwise_conv2d(x, kernel, 1, "SAME"))
        return tape.gradient(loss, kernel)

    operations = gradient.get_concrete_function(*_case(2, 8, 8, 16, 5)).graph.get_operations()
    with_onednn = _pywrap_util_port.IsMklEnabled() and not tf.config.list_physical_devices("GPU")
    assert ("DepthwiseConv2dNativeBackpropFilter" in {operation.type for operation in operations}) != with_onednn


def test_a_rate_takes_the_plain_operation() -> None:
    x, kernel = _case(2, 12, 12, 16, 3)
    ours = depthwise_conv2d(x, kernel, 1, "SAME", rate=2)
    theirs = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME", dilations=[2, 2])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (5, 2)])
def test_bfloat16_rounds_the_float32_results(size: int, stride: int) -> None:
    x, kernel = (tf.cast(values, tf.bfloat16) for values in _case(3, 14, 14, 24, size))
    halves = _results(lambda x, k: tf.cast(depthwise_conv2d(x, k, stride, "SAME"), tf.float32), x, kernel)
    exact = _results(
        lambda x, k: depthwise_conv2d(x, k, stride, "SAME"), tf.cast(x, tf.float32), tf.cast(kernel, tf.float32)
    )
    assert [half.dtype for half in halves[1:]] == [tf.bfloat16, tf.bfloat16]
    for half, expected in zip(halves, exact, strict=True):
        scale = float(tf.reduce_max(tf.abs(expected)))
        np.testing.assert_allclose(tf.cast(half, tf.float32), expected, rtol=0, atol=0.01 * scale)


def test_same_bits_every_time() -> None:
    x, kernel = _case(20, 14, 14, 48, 5)
    first, again = (_results(lambda x, k: depthwise_conv2d(x, k, 2, "SAME"), x, kernel) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradient_inside_a_loop_and_twice_in_a_net() -> None:
    x, start = _case(4, 8, 8, 16, 5)

    def train(convolve) -> tf.Tensor:  # type: ignore[no-untyped-def]
        @tf.function(autograph=False)
        def run() -> tf.Tensor:
            def body(step: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                with tf.GradientTape() as tape:
                    tape.watch(kernel)
                    y = convolve(convolve(x, kernel), kernel)
                    loss = tf.reduce_mean(tf.square(y))
                return step + 1, kernel - 1e-4 * tape.gradient(loss, kernel)

            return tf.while_loop(lambda step, kernel: step < 3, body, [0, start])[1]

        return run()

    ours = train(lambda x, k: depthwise_conv2d(x, k, 1, "SAME"))
    theirs = train(lambda x, k: tf.nn.depthwise_conv2d(x, k, [1, 1, 1, 1], "SAME"))
    assert not np.allclose(ours, start, atol=1e-3)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_trains_under_a_mirrored_strategy() -> None:
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    x, start = _case(4, 8, 8, 16, 5)
    with strategy.scope():
        kernel = tf.Variable(start)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        def replica() -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(depthwise_conv2d(x, kernel, 1, "SAME"))
            return tape.gradient(loss, kernel)

        return strategy.run(replica)

    assert step().shape == kernel.shape


def test_exports_as_one_operation(tmp_path: Path) -> None:
    module = tf.Module()
    module.kernel = tf.Variable(_case(1, 8, 8, 16, 5)[1])
    module.serve = tf.function(
        lambda x: depthwise_conv2d(x, module.kernel, 1, "SAME"),
        autograph=False,
        input_signature=[tf.TensorSpec([1, 8, 8, 16], tf.float32)],
    )
    x = _case(1, 8, 8, 16, 5)[0]

    concrete = module.serve.get_concrete_function()
    operations = [node.type for node in concrete.graph.get_operations()]
    assert operations.count("DepthwiseConv2dNative") == 1
    wiring = {"Placeholder", "ReadVariableOp", "Const", "NoOp", "Identity", "IdentityN"}
    assert set(operations) - wiring == {"DepthwiseConv2dNative"}

    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.serve(x), module.serve(x))

    assert tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
