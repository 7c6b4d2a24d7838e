"""The layers of a detector's pyramid and heads: full or separable convolutions, shared over levels.

Symbols: N images, H and W pixels, C channels. Variables have the names of ``slim.conv2d`` and
``slim.separable_conv2d``, which the Object Detection API calls.
"""

from __future__ import annotations

from typing import Any, Callable

from . import layers
from .slim_compat import scoped_arguments, slim, tf, tf1


def _unchanged(net: Any, **_: Any) -> Any:
    """A normalizer that does nothing: the convolution gets no bias, and its batch norm follows under its own name."""
    return net


def pointwise(net: Any, num_outputs: int, scope: str, bias: Any = None) -> Any:
    """The second half of a separable convolution: the same linear map at every position.

    It is a matrix product on rows. It equals a 1x1 convolution, and its gradients are a quarter faster on a CPU.

    Args:
      net: [N, H, W, C], or [N, P, C] with one row per position.
      num_outputs: channels of the result; its other dimensions are those of ``net``.
      scope: of the variables ``pointwise_weights`` and ``biases``.
      bias: an initializer, None for none.
    """
    options = scoped_arguments(slim.conv2d)  # initialized and decayed like a full convolution
    channels = int(net.shape[-1])
    with tf1.variable_scope(scope):
        kernel = layers._variable("pointwise_weights", [1, 1, channels, num_outputs], net, options)
        rows = net.shape.ndims == 3
        if rows:
            result = tf.matmul(tf.reshape(net, [-1, channels]), tf.reshape(kernel, [channels, num_outputs]))
        else:
            result = tf1.nn.conv2d(net, kernel, strides=[1, 1, 1, 1], padding="SAME")
        if bias is not None:
            options["biases_initializer"] = bias
            result = tf.nn.bias_add(result, layers._variable("biases", [num_outputs], net, options))
    if not rows:
        return result
    positions = net.shape.as_list()[1]
    leading = [tf.shape(net)[0], -1] if positions is None else [-1, positions]
    return tf.reshape(result, [*leading, num_outputs])


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

    ``symmetric`` pads both sides equally even if SAME would not; ``bias`` is an initializer, None for no bias.
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
    """Calls ``build`` on every level's features. The first call creates the variables, the others reuse them.

    In a scope without reuse, building the detector twice is still an error. With AUTO_REUSE it would not be.
    """
    built = [build(nets[0])]
    with tf1.variable_scope(tf1.get_variable_scope(), reuse=True):
        return built + [build(net) for net in nets[1:]]


def upsample_like(net: Any, other: Any) -> Any:
    """Doubles net [N, h, w, C] by repeating pixels, cropped to the height and width of ``other`` (2h or 2h - 1)."""
    sizes, wanted = net.shape.as_list()[1:3], other.shape.as_list()[1:3]
    if None in sizes or None in wanted:
        sizes, wanted = tf.unstack(tf.shape(net))[1:3], tf.unstack(tf.shape(other))[1:3]
    doubled = [2 * size for size in sizes]
    # A raw operation: TensorFlow 2 deprecates the old function, and 1.15 lacks the new one.
    net = tf.raw_ops.ResizeNearestNeighbor(images=net, size=tf.stack(doubled))
    return net if doubled == wanted else net[:, : wanted[0], : wanted[1]]


def as_rows(net: Any, per_position: int = 1) -> Any:
    """Reshapes [N, H, W, a·C] or [N, P, a·C] to [N, positions·a, C], in the order of rows, columns and a."""
    *sizes, channels = net.shape.as_list()[1:]
    if None in sizes:
        return tf.reshape(net, [tf.shape(net)[0], -1, channels // per_position])
    rows = per_position
    for size in sizes:
        rows *= size
    return tf.reshape(net, [-1, rows, channels // per_position])
