"""RetinaNet on a MnasNet: the backbone, a feature pyramid, and two subnets that all levels share.

    with slim.arg_scope(mnasnet.training_scope()):
        predictions, end_points = retinanet(images, get_spec("b1"), get_detector("retinanet"), num_classes=90)

From "Focal loss for dense object detection" (Lin et al., arXiv 1708.02002). Names, shapes and computation are those of
the TF Object Detection API's SSD with ``WeightSharedConvolutionalBoxPredictor``.

Symbols: N images, A anchors, K classes.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, NamedTuple

from . import detector_layers, layers
from .architecture import NetSpec
from .blocks import ACTIVATIONS
from .detector_spec import (
    HEADS_SCOPE,
    DetectorSpec,
    bottom_up_scope,
    level_scope,
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
      ValueError: ``num_classes`` < 1, images of another rank, a backbone without features at the lowest level, or a
        detector without anchors.
    """
    if detector.anchor_free:
        raise ValueError(f"{detector.name} has no anchors; anchor_free.anchor_free builds it")
    return build_detector(
        images,
        backbone,
        detector,
        num_classes,
        pyramid=path_down,
        heads=_heads,
        is_training=is_training,
        reuse=reuse,
        use_explicit_padding=use_explicit_padding,
        zero_init_residual=zero_init_residual,
        frozen_until=frozen_until,
    )


def build_detector(
    images: Any,
    backbone: NetSpec,
    detector: DetectorSpec,
    num_classes: int,
    pyramid: Callable[[dict[int, Any], DetectorSpec, bool], dict[int, Any]],
    heads: Callable[[list[Any], DetectorSpec, int], Any],
    is_training: Any = None,
    reuse: Any = None,
    use_explicit_padding: bool = False,
    **backbone_options: Any,
) -> tuple[Any, dict[str, Any]]:
    """Builds the backbone, and on it what ``pyramid`` and ``heads`` build; the rest is as in ``retinanet``.

    Args:
      pyramid: (the backbone's features by level, detector, symmetric padding) to the features of all levels.
      heads: (the features of all levels, lowest first, detector, num_classes) to the predictions.
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
            scope="Mnasnet",
            **backbone_options,
        )
        with tf1.variable_scope("Mnasnet/fpn"), slim.arg_scope(_kernel_scope(detector)), norm_scope(
            backbone, is_training
        ):
            levels = pyramid({level: end_points[layer] for level, layer in taps.items()}, detector, symmetric)
    end_points.update({f"P{level}": levels[level] for level in detector.levels})
    with tf1.variable_scope(HEADS_SCOPE, reuse=reuse), slim.arg_scope(_kernel_scope(detector)), norm_scope(
        backbone, is_training
    ):
        predictions = heads([levels[level] for level in detector.levels], detector, num_classes)
    return predictions, end_points


def _kernel_scope(detector: DetectorSpec) -> Any:
    """Returns an arg scope with the detector's initializers. Kernels decay as in the outer scope, biases don't."""
    plain = tf1.random_normal_initializer(stddev=detector.stddev) if detector.stddev else layers.conv_initializer()
    kernels = [slim.conv2d, slim.separable_conv2d]
    with slim.arg_scope(kernels, weights_initializer=plain, biases_regularizer=None) as scope:
        return scope


def path_down(features: dict[int, Any], detector: DetectorSpec, symmetric: bool) -> dict[int, Any]:
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
        pyramid[level] = pyramid_convolution(net, detector, f"smoothing_{number[level]}", 1, symmetric)
    return levels_above(pyramid, detector, symmetric)


def levels_above(pyramid: dict[int, Any], detector: DetectorSpec, symmetric: bool) -> dict[int, Any]:
    """Adds the levels above the backbone's to {level: features}; each is a convolution of the level below."""
    top = max(pyramid)
    for level in range(top + 1, detector.max_level + 1):
        scope = bottom_up_scope(level, top)
        pyramid[level] = pyramid_convolution(pyramid[level - 1], detector, scope, 2, symmetric)
    return pyramid


def pyramid_convolution(net: Any, detector: DetectorSpec, scope: str, stride: int, symmetric: bool) -> Any:
    """A convolution of the pyramid with its batch norm and activation: [N, ceil(H / stride), ceil(W / stride), C]."""
    bias = None if detector.fpn_norm else tf1.zeros_initializer()
    net = detector_layers.convolve(
        net, detector.channels, detector.fpn_kernel, scope, detector.separable, stride, symmetric, bias
    )
    if detector.fpn_norm:
        net = slim.batch_norm(net, scope=f"{scope}/BatchNorm")
    return ACTIVATIONS[detector.fpn_activation](net)


def _heads(nets: list[Any], detector: DetectorSpec, num_classes: int) -> Predictions:
    """Builds both subnets and predictors on the levels of the pyramid [N, H, W, channels], lowest first."""
    class_logits, box_deltas = raw_heads(nets, detector, num_classes)
    return Predictions(class_logits, box_deltas)


def raw_heads(nets: list[Any], detector: DetectorSpec, num_classes: int) -> tuple[Any, Any]:
    """Builds the subnets and predictors; returns the logits [N, A, K] and the box predictor's outputs [N, A, …]."""
    box_scope, class_scope = tower_scopes(detector)
    box_nets = _tower(nets, detector, box_scope)
    boxes = _predict(box_nets, detector, detector.box_outputs, "BoxPredictor", detector.box_bias)
    class_nets = box_nets if class_scope == box_scope else _tower(nets, detector, class_scope)
    outputs = detector.class_outputs(num_classes)
    class_logits = _predict(class_nets, detector, outputs, "ClassPredictor", detector.class_bias)
    return (class_logits[..., outputs - num_classes :] if detector.background_slot else class_logits), boxes


def _on_levels(build: Callable[..., Any], nets: list[Any], scope: str, detector: DetectorSpec) -> list[Any]:
    """Calls ``build(features, scope=…)`` on every level, with kernels that all levels share or with each level's."""
    if detector.shared_levels:
        return detector_layers.shared(functools.partial(build, scope=scope), nets)
    return [build(net, scope=level_scope(scope, index, detector)) for index, net in enumerate(nets)]


def _tower(nets: list[Any], detector: DetectorSpec, scope: str) -> list[Any]:
    """Builds a subnet. Levels that share its kernels have their own batch norms, because statistics differ."""
    activation = ACTIVATIONS[detector.activation]
    convolve = functools.partial(
        detector_layers.convolve,
        num_outputs=detector.channels,
        kernel=detector.kernel,
        separable=detector.separable,
    )
    for number in range(detector.depth):
        layer = f"{scope}/conv2d_{number}"
        norms = [
            f"{layer}/BatchNorm/feature_{index}"
            if detector.shared_levels
            else f"{level_scope(layer, index, detector)}/BatchNorm"
            for index in range(len(nets))
        ]
        nets = [
            activation(slim.batch_norm(net, scope=norm))
            for net, norm in zip(_on_levels(convolve, nets, layer, detector), norms)
        ]
    return nets


def _predict(nets: list[Any], detector: DetectorSpec, per_anchor: int, scope: str, bias: float) -> Any:
    """Predicts ``per_anchor`` numbers for each anchor of every level: [N, A, per_anchor]."""
    outputs, start = detector.anchors * per_anchor, tf1.constant_initializer(bias)
    kernel, small = detector.predictor_size, tf1.random_normal_initializer(stddev=_PREDICTOR_STDDEV)
    if not detector.separable:
        convolve = functools.partial(detector_layers.convolve, num_outputs=outputs, kernel=kernel, bias=start)
        with slim.arg_scope([slim.conv2d], weights_initializer=small):
            nets = _on_levels(convolve, nets, scope, detector)
        return tf.concat([detector_layers.as_rows(net, detector.anchors) for net in nets], axis=1)
    if kernel > 1:
        nets = _on_levels(functools.partial(layers.depthwise, kernel_size=kernel), nets, scope, detector)
    rows = [detector_layers.as_rows(net) for net in nets]
    pointwise = functools.partial(detector_layers.pointwise, num_outputs=outputs, bias=start)
    with slim.arg_scope([slim.conv2d], weights_initializer=small):
        if detector.shared_levels:
            # One matrix product over the positions of all levels writes the predictions to their final places. Joining
            # the levels then copies the few inputs of the 1x1 convolution instead of its many outputs.
            joined = pointwise(tf.concat(rows, axis=1), scope=scope)
        else:
            joined = tf.concat(_on_levels(pointwise, rows, scope, detector), axis=1)
    return detector_layers.as_rows(joined, detector.anchors)
