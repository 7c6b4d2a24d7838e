"""A detector without anchors on a MnasNet: a pyramid with a path back up, and one box at each position of its levels.

    with slim.arg_scope(mnasnet.training_scope()):
        predictions, end_points = anchor_free(images, get_spec("b1"), get_detector("anchor-free"), num_classes=80)

It is what PicoDet (arXiv 2111.00902), NanoDet-Plus and RTMDet (arXiv 2212.07784) have in common: separable 5x5
convolutions of few channels, a path down and back up (PANet, arXiv 1803.01534), and for each side of a box the
distribution of its distance (GFL, arXiv 2006.04388). Backbone, scopes and batch norm per level are as in ``retinanet``.

Symbols: N images, A positions over all levels, K classes.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from . import detector_layers
from .architecture import NetSpec
from .detector_spec import BOX_SIZE, DetectorSpec, down_scope, merge_scope
from .retinanet import Predictions, build_detector, levels_above, path_down, pyramid_convolution, raw_heads
from .slim_compat import tf, tf1


class BinnedPredictions(NamedTuple):
    """The outputs of all positions, in the order of levels (lowest first), rows and columns."""

    class_logits: Any
    """[N, A, K]; every class has its own sigmoid."""
    box_deltas: Any
    """[N, A, 4]: the distances of a box's sides (up, left, down, right) from the center of its cell, in strides."""
    box_bins: Any
    """[N, A, 4, bins]: the logits of the distances 0 … bins - 1, whose means are ``box_deltas``."""


def anchor_free(
    images: Any,
    backbone: NetSpec,
    detector: DetectorSpec,
    num_classes: int,
    **options: Any,
) -> tuple[Predictions | BinnedPredictions, dict[str, Any]]:
    """Builds a detector under the current variable scope; arguments and results are as in ``retinanet``.

    ``options`` are those of ``retinanet`` that have a default, such as ``is_training``. The predictions are
    ``BinnedPredictions``. Without bins they are ``Predictions``, and ``box_deltas`` are the natural logarithms of the
    distances.

    Raises:
      ValueError: as in ``retinanet``, or a detector with anchors.
    """
    if not detector.anchor_free:
        raise ValueError(f"{detector.name} has anchors; retinanet.retinanet builds it")
    return build_detector(
        images,
        backbone,
        detector,
        num_classes,
        pyramid=two_way_pyramid,
        heads=_heads,
        **options,
    )


def two_way_pyramid(features: dict[int, Any], detector: DetectorSpec, symmetric: bool) -> dict[int, Any]:
    """Builds {level: [N, H, W, channels]} for all levels from the backbone's.

    Each level joins the features of the level above on the way down, and those of the level below on the way up.
    Without ``bottom_up`` and with sums it is RetinaNet's pyramid.
    """
    if not detector.bottom_up and detector.fusion == "add":
        return path_down(features, detector, symmetric)
    below = sorted(features)
    number = {level: index for index, level in enumerate(below, 1)}
    zeros = tf1.zeros_initializer()
    project = functools.partial(detector_layers.convolve, num_outputs=detector.channels, kernel=1, bias=zeros)

    pyramid = {below[-1]: project(features[below[-1]], scope=f"projection_{number[below[-1]]}")}
    for level in reversed(below[:-1]):
        lateral = project(features[level], scope=f"projection_{number[level]}")
        net = _join(lateral, detector_layers.upsample_like(pyramid[level + 1], lateral), detector)
        pyramid[level] = pyramid_convolution(net, detector, f"smoothing_{number[level]}", 1, symmetric)
    for level in below[1:] if detector.bottom_up else []:
        down = pyramid_convolution(pyramid[level - 1], detector, down_scope(number[level]), 2, symmetric)
        net = _join(pyramid[level], down, detector)
        pyramid[level] = pyramid_convolution(net, detector, merge_scope(number[level]), 1, symmetric)
    return levels_above(pyramid, detector, symmetric)


def _join(net: Any, other: Any, detector: DetectorSpec) -> Any:
    return tf.concat([net, other], axis=-1) if detector.fusion == "concat" else net + other


def _heads(nets: list[Any], detector: DetectorSpec, num_classes: int) -> Predictions | BinnedPredictions:
    class_logits, boxes = raw_heads(nets, detector, num_classes)
    if not detector.bins:
        return Predictions(class_logits, boxes)
    bins = detector_layers.as_rows(boxes, BOX_SIZE)  # [N, 4 A, bins]
    distances = mean_distance(bins)
    positions = boxes.shape.as_list()[1]
    leading = [tf.shape(boxes)[0], -1] if positions is None else [-1, positions]
    return BinnedPredictions(
        class_logits,
        tf.reshape(distances, [*leading, BOX_SIZE]),
        tf.reshape(bins, [*leading, BOX_SIZE, detector.bins]),
    )


def mean_distance(bins: Any) -> Any:
    """The mean [-1] of the distances 0 … B - 1 under the softmax of their logits […, B], in float32.

    It is a matrix product with the distances from the middle of the range. Their int8 errors are half of those from 0.
    """
    count = int(bins.shape[-1])
    middle = (count - 1) / 2
    shares = tf.nn.softmax(tf.reshape(tf.cast(bins, tf.float32), [-1, count]))
    offsets = tf.constant([[index - middle] for index in range(count)], tf.float32)
    return tf.reshape(tf.matmul(shares, offsets), [-1]) + middle
