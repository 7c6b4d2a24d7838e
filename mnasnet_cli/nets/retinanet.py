"""RetinaNet on a MnasNet: the backbone, a feature pyramid, and two subnets that all levels share.

    with slim.arg_scope(mnasnet.training_scope()):
        predictions, end_points = retinanet(images, get_spec("b1"), get_detector("retinanet"), num_classes=90)

From "Focal loss for dense object detection" (Lin et al., arXiv 1708.02002). Names, shapes and computation are those of
the TF Object Detection API's SSD with ``WeightSharedConvolutionalBoxPredictor``.

Symbols: N images, A anchors, K classes.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from . import detector_layers, layers
from .architecture import NetSpec
from .blocks import ACTIVATIONS
from .detector_spec import (
    BOX_SIZE,
    HEADS_SCOPE,
    DetectorSpec,
    bottom_up_scope,
    pyramid_taps,
    tower_scopes,
)
from .mnasnet import mnasnet_base
from .scopes import norm_scope, resolve_training
from .slim_compat import slim, tf, tf1

# Untrained predictors output almost constant values, so that the first losses are those of the prior and of no offset.
_PREDICTOR_STDDEV = 0.01


class Predictions(NamedTuple):
    """Logits and box offsets of all anchors, in the order of levels (lowest first), rows, columns and anchors."""

    class_logits: Any
    """[N, A, K]; every class has its own sigmoid."""
    box_deltas: Any
    """[N, A, 4]: (ty, tx, th, tw), encoded like the training targets."""


def retinanet(
    images: Any,
    backbone: NetSpec,
    detector: DetectorSpec,
    num_classes: int,
    is_training: Any = None,
    reuse: Any = None,
    use_explicit_padding: bool = False,
    zero_init_residual: bool = False,
    frozen_until: str | None = None,
) -> tuple[Predictions, dict[str, Any]]:
    """Builds a detector under the current variable scope.

    Args:
      images: [N, H, W, 3] float, preprocessed; H and W may be unknown. Multiples of 32 halve evenly down to level 5.
      backbone: from ``spec.get_spec``; its dialect also sets batch norm and padding of the pyramid and the heads.
      detector: pyramid and heads, from ``detector_spec.get_detector``.
      num_classes: K, without background.
      is_training: batch norm in training mode; None uses the arg scope's value, or False without one.
      reuse: of the variables, as in ``tf.compat.v1.variable_scope``.
      use_explicit_padding: as in ``mnasnet_base``, and in the pyramid.
      zero_init_residual: as in ``mnasnet_base``.
      frozen_until: as in ``mnasnet_base``, of the backbone.

    Returns:
      (Predictions, end_points): the end points are the layers of the backbone that are used, and P3 … P7.

    Raises:
      ValueError: ``num_classes`` < 1, images of another rank, or a backbone without features at the lowest level.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    is_training = resolve_training(is_training)
    taps = pyramid_taps(backbone, detector)
    symmetric = use_explicit_padding or backbone.dialect.padding == "symmetric"
    with tf1.variable_scope("FeatureExtractor", reuse=reuse):
        _, end_points = mnasnet_base(
            images,
            backbone,
            is_training=is_training,
            final_endpoint=taps[max(taps)],
            use_explicit_padding=use_explicit_padding,
            zero_init_residual=zero_init_residual,
            frozen_until=frozen_until,
            scope="Mnasnet",
        )
        with tf1.variable_scope("Mnasnet/fpn"), slim.arg_scope(_kernel_scope(detector)), norm_scope(
            backbone, is_training
        ):
            features = {level: end_points[layer] for level, layer in taps.items()}
            pyramid = _pyramid(features, detector, symmetric)
    end_points.update({f"P{level}": pyramid[level] for level in detector.levels})
    with tf1.variable_scope(HEADS_SCOPE, reuse=reuse), slim.arg_scope(_kernel_scope(detector)), norm_scope(
        backbone, is_training
    ):
        predictions = _heads([pyramid[level] for level in detector.levels], detector, num_classes)
    return predictions, end_points


def _kernel_scope(detector: DetectorSpec) -> Any:
    """Returns an arg scope with the detector's initializers. Kernels decay as in the outer scope, biases don't."""
    plain = tf1.random_normal_initializer(stddev=detector.stddev) if detector.stddev else layers.conv_initializer()
    kernels = [slim.conv2d, slim.separable_conv2d]
    with slim.arg_scope(kernels, weights_initializer=plain, biases_regularizer=None) as scope:
        return scope


def _pyramid(features: dict[int, Any], detector: DetectorSpec, symmetric: bool) -> dict[int, Any]:
    """Builds {level: [N, H, W, channels]} for all levels from the backbone's levels.

    As in the API, the top level of the backbone is only projected, those below are smoothed sums, and those above are
    convolutions with stride 2.
    """
    below = sorted(features)
    top = below[-1]
    number = {level: index for index, level in enumerate(below, 1)}
    zeros = tf1.zeros_initializer()
    project = functools.partial(detector_layers.convolve, num_outputs=detector.channels, kernel=1, bias=zeros)

    net = project(features[top], scope=f"projection_{number[top]}")
    pyramid = {top: net}
    for level in reversed(below[:-1]):
        lateral = project(features[level], scope=f"projection_{number[level]}")
        net = lateral + detector_layers.upsample_like(net, lateral)
        pyramid[level] = _pyramid_convolution(net, detector, f"smoothing_{number[level]}", 1, symmetric)
    for level in range(top + 1, detector.max_level + 1):
        scope = bottom_up_scope(level, top)
        pyramid[level] = _pyramid_convolution(pyramid[level - 1], detector, scope, 2, symmetric)
    return pyramid


def _pyramid_convolution(net: Any, detector: DetectorSpec, scope: str, stride: int, symmetric: bool) -> Any:
    bias = None if detector.fpn_norm else tf1.zeros_initializer()
    net = detector_layers.convolve(
        net, detector.channels, detector.fpn_kernel, scope, detector.separable, stride, symmetric, bias
    )
    if detector.fpn_norm:
        net = slim.batch_norm(net, scope=f"{scope}/BatchNorm")
    return ACTIVATIONS[detector.fpn_activation](net)


def _heads(nets: list[Any], detector: DetectorSpec, num_classes: int) -> Predictions:
    """Builds both subnets and predictors on the levels of the pyramid [N, H, W, channels], lowest first."""
    box_scope, class_scope = tower_scopes(detector)
    box_nets = _tower(nets, detector, box_scope)
    box_deltas = _predict(box_nets, detector, BOX_SIZE, "BoxPredictor", 0.0)
    class_nets = box_nets if class_scope == box_scope else _tower(nets, detector, class_scope)
    outputs = detector.class_outputs(num_classes)
    class_logits = _predict(class_nets, detector, outputs, "ClassPredictor", detector.class_bias)
    return Predictions(
        class_logits[..., outputs - num_classes :] if detector.background_slot else class_logits, box_deltas
    )


def _tower(nets: list[Any], detector: DetectorSpec, scope: str) -> list[Any]:
    """Builds a subnet. All levels share its kernels, but each has its own batch norm, because statistics differ."""
    activation = ACTIVATIONS[detector.activation]
    for number in range(detector.depth):
        layer = f"{scope}/conv2d_{number}"
        convolve = functools.partial(
            detector_layers.convolve,
            num_outputs=detector.channels,
            kernel=detector.kernel,
            scope=layer,
            separable=detector.separable,
        )
        nets = [
            activation(slim.batch_norm(net, scope=f"{layer}/BatchNorm/feature_{index}"))
            for index, net in enumerate(detector_layers.shared(convolve, nets))
        ]
    return nets


def _predict(nets: list[Any], detector: DetectorSpec, per_anchor: int, scope: str, bias: float) -> Any:
    """Predicts ``per_anchor`` numbers for each anchor of every level: [N, A, per_anchor]."""
    outputs, start = detector.anchors * per_anchor, tf1.constant_initializer(bias)
    small = tf1.random_normal_initializer(stddev=_PREDICTOR_STDDEV)
    if not detector.separable:
        convolve = functools.partial(
            detector_layers.convolve, num_outputs=outputs, kernel=detector.kernel, scope=scope, bias=start
        )
        with slim.arg_scope([slim.conv2d], weights_initializer=small):
            nets = detector_layers.shared(convolve, nets)
        return tf.concat([detector_layers.as_rows(net, detector.anchors) for net in nets], axis=1)
    # One matrix product over the positions of all levels writes the predictions to their final places. Joining the
    # levels then copies the few inputs of the 1x1 convolution instead of its many outputs.
    depthwise = functools.partial(layers.depthwise, kernel_size=detector.kernel, scope=scope)
    joined = tf.concat([detector_layers.as_rows(net) for net in detector_layers.shared(depthwise, nets)], axis=1)
    with slim.arg_scope([slim.conv2d], weights_initializer=small):
        joined = detector_layers.pointwise(joined, outputs, scope, start)
    return detector_layers.as_rows(joined, detector.anchors)
