"""What a detector's pyramid and heads are made of: full or separable convolutions, shared over levels.

Symbols: N images, H and W pixels, C channels. Variables are named as those of ``slim.conv2d`` and
``slim.separable_conv2d``, which the Object Detection API calls.
"""

from __future__ import annotations

from typing import Any, Callable

from mnasnet_cli.nets import layers
from mnasnet_cli.nets.slim_compat import scoped_arguments, slim, tf, tf1


def _unchanged(net: Any, **_: Any) -> Any:
    """A normalizer that does nothing: the convolution has no bias, and its batch norm follows under its own name."""
    return net


def pointwise(net: Any, num_outputs: int, scope: str, bias: Any = None) -> Any:
    """The second half of a separable convolution: [N, H, W, C] to [N, H, W, num_outputs].

    ``bias`` is an initializer, None for none.
    """
    options = scoped_arguments(slim.conv2d)  # it is a full convolution: it starts and decays as they do
    with tf1.variable_scope(scope):
        kernel = layers._variable("pointwise_weights", [1, 1, int(net.shape[-1]), num_outputs], net, options)
        net = tf1.nn.conv2d(net, kernel, strides=[1, 1, 1, 1], padding="SAME")
        if bias is not None:
            options["biases_initializer"] = bias
            net = tf.nn.bias_add(net, layers._variable("biases", [num_outputs], net, options))
    return net


def convolve(
    net: Any,
    num_outputs: int,
    kernel: int,
    scope: str,
    separable: bool = False,
    stride: int = 1,
    symmetric: bool = False,
    bias: Any = None,
) -> Any:
    """A linear convolution, full or separable: [N, H, W, C] to [N, ceil(H / stride), ceil(W / stride), num_outputs].

    ``symmetric`` pads both sides alike where SAME would not; ``bias`` is an initializer, None for none.
    """
    padding = "SAME"
    if symmetric and stride > 1:
        net, padding = layers.pad_symmetric(net, kernel), "VALID"
    if separable:
        net = layers.depthwise(net, kernel, scope, stride=stride, padding=padding)
        return pointwise(net, num_outputs, scope, bias)
    biased = {"normalizer_fn": _unchanged} if bias is None else {"biases_initializer": bias}
    return layers.conv2d(net, num_outputs, kernel, scope, stride=stride, padding=padding, **biased)


def shared(build: Callable[[Any], Any], nets: list[Any]) -> list[Any]:
    """Calls ``build`` on every level's features; the first call makes its variables, the others use them again.

    A scope that reuses none still refuses to build the detector twice, which AUTO_REUSE would not.
    """
    built = [build(nets[0])]
    with tf1.variable_scope(tf1.get_variable_scope(), reuse=True):
        return built + [build(net) for net in nets[1:]]


def upsample_like(net: Any, other: Any) -> Any:
    """Doubles net [N, h, w, C] by repeating pixels, cut to the height and width of ``other`` (2h or 2h - 1)."""
    height, width = net.shape.as_list()[1:3]
    if height is None or width is None:
        sizes = tf.shape(net)
        net = tf1.image.resize_nearest_neighbor(net, [2 * sizes[1], 2 * sizes[2]])
        sizes = tf.shape(other)
        return net[:, : sizes[1], : sizes[2]]
    net = tf1.image.resize_nearest_neighbor(net, [2 * height, 2 * width])
    wanted = other.shape.as_list()[1:3]
    return net if wanted == [2 * height, 2 * width] else net[:, : wanted[0], : wanted[1]]


def as_rows(net: Any, per_position: int) -> Any:
    """Reshapes [N, H, W, per_position·C] to [N, H·W·per_position, C]: row by row, column by column."""
    height, width, channels = net.shape.as_list()[1:]
    depth = channels // per_position
    if height is None or width is None:
        return tf.reshape(net, [tf.shape(net)[0], -1, depth])
    return tf.reshape(net, [-1, height * width * per_position, depth])
