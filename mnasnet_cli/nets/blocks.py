"""The block of a MnasNet, its squeeze-excite, and the logits.

Symbols: N images, H and W pixels, C channels. Every function builds operations under the current variable scope
and uses the current ``slim.arg_scope``.
"""

from __future__ import annotations

from typing import Any, Callable

from . import layers
from .architecture import BlockSpec
from .slim_compat import scoped_arguments, slim, tf, tf1


def hswish(net: Any) -> Any:
    """x · relu6(x + 3) / 6 (MobileNetV3, arXiv 1905.02244, section 5.2); TFLite and ONNX have it as one operation."""
    return net * (tf.nn.relu6(net + 3.0) * (1.0 / 6.0))


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": tf.nn.relu, "relu6": tf.nn.relu6, "hswish": hswish}


def squeeze_excite(net: Any, reduced: int) -> Any:
    """Scales every channel of net [N, H, W, C] by a gate in (0, 1), computed from the means of all channels."""
    with tf1.variable_scope("se_block"):
        gate = tf1.reduce_mean(net, [1, 2], keepdims=True)
        gate = layers.conv2d(gate, reduced, 1, activation_fn=tf.nn.relu, scope="excitation_reduce")
        gate = layers.conv2d(gate, int(net.shape[-1]), 1, activation_fn=tf.sigmoid, scope="excitation_expand")
        return net * gate


def _zero_gamma() -> dict[str, Any]:
    """Returns slim's normalizer_params of the current scope, with an initial gamma of 0."""
    params = dict(scoped_arguments(slim.conv2d).get("normalizer_params") or {})
    params["param_initializers"] = {**params.get("param_initializers", {}), "gamma": tf1.zeros_initializer()}
    return {"normalizer_params": params}


def mnas_block(
    inputs: Any,
    block: BlockSpec,
    activation: Callable[[Any], Any],
    stride: int,
    rate: int,
    symmetric: bool,
    zero_init_residual: bool = False,
) -> Any:
    """Builds one block: expand, depthwise, squeeze, project, add.

    Args:
      inputs: [N, H, W, block.in_channels].
      block: its widths, kernel and names.
      activation: after the expansion and the depthwise convolution; the projection is linear.
      stride: of the depthwise convolution; ``block.stride`` unless an output stride replaced it by ``rate``.
      rate: dilation of the depthwise convolution.
      symmetric: pads explicitly and equally on both sides, instead of SAME.
      zero_init_residual: the last batch norm's gamma starts at 0, so a block with a skip starts as the identity.

    Returns:
      [N, ceil(H / stride), ceil(W / stride), block.out_channels].
    """
    with tf1.variable_scope(block.scope):
        net = inputs
        norm = {"normalizer_fn": slim.batch_norm}
        if block.has_expansion:
            net = layers.conv2d(net, block.expanded_channels, 1, activation_fn=activation, scope="expand", **norm)
        if symmetric:
            net = layers.pad_symmetric(net, block.kernel, rate)
        net = layers.depthwise(
            net,
            block.kernel,
            stride=stride,
            rate=rate,
            padding="VALID" if symmetric else "SAME",
            activation_fn=activation,
            scope="depthwise",
            **norm,
        )
        if block.squeeze_channels and block.squeezes_expanded:
            net = squeeze_excite(net, block.squeeze_channels)
        if zero_init_residual and block.has_skip:
            norm.update(_zero_gamma())
        net = layers.conv2d(net, block.out_channels, 1, activation_fn=None, scope="project", **norm)
        if block.squeeze_channels and not block.squeezes_expanded:
            net = squeeze_excite(net, block.squeeze_channels)
        # has_skip follows the table's strides. A block whose stride of 2 became 1 for an output stride has no skip
        # either, so that the dilated net computes the same values at more positions.
        return inputs + net if block.has_skip else net


@slim.add_arg_scope
def classify(net: Any, num_classes: int, weights_initializer: Any = None) -> Any:
    """The logits as a 1x1 convolution with its own arg scope: [N, H, W, C] to [N, H, W, num_classes]."""
    given = {} if weights_initializer is None else {"weights_initializer": weights_initializer}
    return layers.conv2d(net, num_classes, 1, scope="Conv2d_1c_1x1", **given)
