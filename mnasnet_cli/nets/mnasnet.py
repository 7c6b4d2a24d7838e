"""MnasNet for TF-Slim: for ``nets_factory``, or under any variable scope of TensorFlow 1.15 or 2.

    with slim.arg_scope(training_scope()):
        logits, end_points = mnasnet_b1(images, num_classes=1001)

Every function returns (result, end_points), as slim's nets do, and has a ``default_image_size``. Without an arg scope
and without ``is_training`` the net is built for inference.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable

from . import blocks, layers
from .architecture import NetSpec, block_specs, layer_names, scale
from .scopes import norm_scope, resolve_training, training_scope
from .slim_compat import scoped_arguments, slim, slim_utils, tf1
from .spec import NETS


def _strides(spec: NetSpec, output_stride: int | None) -> list[tuple[int, int]]:
    """Returns (stride, rate) of the stem and each block: dilated once ``output_stride`` is reached."""
    wanted = [2] + [block.stride for block in block_specs(spec)]
    allowed = [2**power for power in range(wanted.count(2) + 1)]
    if output_stride is not None and output_stride not in allowed:
        raise ValueError(f"output_stride must be None or one of {allowed}, got {output_stride!r}")
    reached, rate, planned = 1, 1, []
    for stride in wanted:
        if reached == output_stride:
            # The layer that would have halved keeps the rate of the previous layers; later layers have a higher rate.
            planned.append((1, rate))
            rate *= stride
        else:
            planned.append((stride, 1))
            reached *= stride
    return planned


def _layers(
    images: Any,
    spec: NetSpec,
    final_endpoint: str | None,
    output_stride: int | None,
    symmetric: bool,
    zero_init_residual: bool,
    frozen_until: str | None,
) -> tuple[Any, dict[str, Any]]:
    """Builds stem, blocks and head convolution up to ``final_endpoint``; returns (net, end points)."""
    names = layer_names(spec)
    for argument, layer in (("final_endpoint", final_endpoint), ("frozen_until", frozen_until)):
        if layer is not None and layer not in names:
            raise ValueError(f"{argument} must be one of {names[0]} … {names[-1]} for {spec.name}, got {layer!r}")
    frozen = names[: names.index(frozen_until) + 1] if frozen_until else []

    def scope_of(layer: str) -> Any:
        return slim.arg_scope([slim.batch_norm], is_training=False) if layer in frozen else contextlib.nullcontext()

    activation = blocks.ACTIVATIONS[spec.dialect.activation]
    activated = {"activation_fn": activation, "normalizer_fn": slim.batch_norm}
    (stem_stride, _), *strides = _strides(spec, output_stride)

    net = layers.pad_symmetric(images, 3) if symmetric else images
    padding = "VALID" if symmetric else "SAME"
    with scope_of(names[0]):
        net = layers.conv2d(net, spec.stem, 3, stride=stem_stride, padding=padding, scope="Conv", **activated)
    end_points = {names[0]: net}
    for block, (stride, rate) in zip(block_specs(spec), strides):
        if final_endpoint in end_points:
            break
        with scope_of(block.layer):
            net = blocks.mnas_block(net, block, activation, stride, rate, symmetric, zero_init_residual)
        end_points[block.layer] = net
    if final_endpoint not in end_points:
        with scope_of(names[-1]):
            net = end_points[names[-1]] = layers.conv2d(net, spec.head, 1, scope="Conv_1", **activated)
    return net, end_points


def _dropout(net: Any, spec: NetSpec, keep_prob: float | None, is_training: Any, dropout_fn: Any) -> Any:
    keep = scoped_arguments(slim.dropout).get("keep_prob") if keep_prob is None else keep_prob
    keep = 1.0 - spec.dropout if keep is None else keep
    if dropout_fn is not None:
        return dropout_fn(net, keep, is_training)
    with tf1.name_scope("Dropout"):
        return slim_utils.smart_cond(is_training, lambda: tf1.nn.dropout(net, rate=1.0 - keep), lambda: net)


def mnasnet_base(
    images: Any,
    spec: NetSpec,
    num_classes: int | None = 1001,
    is_training: Any = None,
    dropout_keep_prob: float | None = None,
    prediction_fn: Callable[[Any], Any] | None = slim.softmax,
    reuse: Any = None,
    scope: Any = "Mnasnet",
    final_endpoint: str | None = None,
    output_stride: int | None = None,
    use_explicit_padding: bool = False,
    global_pool: bool = True,
    dropout_fn: Callable[[Any, float, Any], Any] | None = None,
    zero_init_residual: bool = False,
    frozen_until: str | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Builds the net of a spec (N images, C features, K classes).

    Args:
      images: [N, H, W, 3] float, preprocessed; H and W may be unknown.
      spec: from ``spec.get_spec``.
      num_classes: K; None or 0 returns the features before dropout instead of logits.
      is_training: batch norm and dropout in training mode; None uses the arg scope's value, or False without one.
      dropout_keep_prob: None uses the arg scope's value, or the spec's without one (0.8; small has no dropout: 1.0).
      prediction_fn: computes ``end_points["Predictions"]`` from the logits; None omits it.
      reuse: of the variables, as in ``tf.compat.v1.variable_scope``.
      scope: a name or a VariableScope.
      final_endpoint: stop at this layer ("layer_1" …) and return it, without pooling or logits.
      output_stride: 1, 2, 4, 8, 16 or 32. Later layers are dilated and do not reduce the size further.
      use_explicit_padding: pads k // 2 on every side instead of SAME. Sizes are the same; values differ for a stride
        of 2 and an even size, where the image is sampled one pixel earlier. Image sizes of 32·n + 1 have no such case.
      global_pool: False keeps the positions: features [N, h, w, C], or logits [N, h, w, K].
      dropout_fn: (net, keep_prob, is_training) -> net, instead of ``slim.dropout``.
      zero_init_residual: gamma of the last batch norm starts at 0 in blocks with a skip.
      frozen_until: batch norm up to this layer uses and keeps its moving statistics, even in training.

    Returns:
      (result, end_points): logits [N, K] or features [N, 1, 1, C], and a dict with layer_1 …, global_pool,
      Logits and Predictions if they were built.

    Raises:
      ValueError: images are not of rank 4, or a layer or the ``output_stride`` is unknown.
    """
    if images.shape.ndims != 4:
        raise ValueError(f"images must have rank 4 [N, H, W, 3], got shape {images.shape}")
    is_training = resolve_training(is_training)
    symmetric = use_explicit_padding or spec.dialect.padding == "symmetric"
    with tf1.variable_scope(scope, "Mnasnet", [images], reuse=reuse), norm_scope(spec, is_training):
        net, end_points = _layers(
            images, spec, final_endpoint, output_stride, symmetric, zero_init_residual, frozen_until
        )
        if final_endpoint is not None:
            return net, end_points
        if global_pool:
            net = end_points["global_pool"] = tf1.reduce_mean(net, [1, 2], keepdims=True, name="global_pool")
        if not num_classes:
            return net, end_points
        net = _dropout(net, spec, dropout_keep_prob, is_training, dropout_fn)
        logits = blocks.classify(net, num_classes)
        if global_pool:
            logits = tf1.squeeze(logits, [1, 2])
        end_points["Logits"] = logits
        if prediction_fn is not None:
            with tf1.name_scope("Predictions"):
                end_points["Predictions"] = prediction_fn(logits)
    return logits, end_points


def _variant(name: str, width: float = 1.0) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Returns slim's function for a net of the table: (images, num_classes=1001, is_training=None, …)."""
    table = NETS[name]

    def net(
        images: Any,
        num_classes: int | None = 1001,
        is_training: Any = None,
        depth_multiplier: float = width,
        **options: Any,
    ) -> tuple[Any, dict[str, Any]]:
        spec = scale(table, depth_multiplier)
        return mnasnet_base(images, spec, num_classes=num_classes, is_training=is_training, **options)

    suffix = "" if width == 1.0 else f"_{round(width * 100):03d}"
    net.__name__ = net.__qualname__ = f"mnasnet_{name.replace('-', '_')}{suffix}"
    net.__doc__ = f"The net {name}, channels ×{width} (any ``depth_multiplier``); see ``mnasnet_base``."
    net.default_image_size = table.image_size  # type: ignore[attr-defined]
    return net


__all__ = ["arg_scopes_map", "mnasnet_base", "networks_map", "training_scope"]  # and the functions below

mnasnet_a1 = _variant("a1")
mnasnet_a1_140 = _variant("a1", 1.4)
mnasnet_a1_075 = _variant("a1", 0.75)
mnasnet_a1_050 = _variant("a1", 0.5)
mnasnet_a1_035 = _variant("a1", 0.35)
mnasnet_b1 = _variant("b1")
mnasnet_b1_140 = _variant("b1", 1.4)
mnasnet_b1_075 = _variant("b1", 0.75)
mnasnet_b1_050 = _variant("b1", 0.5)
mnasnet_b1_035 = _variant("b1", 0.35)
mnasnet_small = _variant("small")
mnasnet_small_140 = _variant("small", 1.4)
mnasnet_small_075 = _variant("small", 0.75)
mnasnet_small_050 = _variant("small", 0.5)
mnasnet_small_035 = _variant("small", 0.35)
mnasnet_d1 = _variant("d1")
mnasnet_d1_140 = _variant("d1", 1.4)
mnasnet_d1_075 = _variant("d1", 0.75)
mnasnet_d1_050 = _variant("d1", 0.5)
mnasnet_d1_035 = _variant("d1", 0.35)
mnasnet_a1_2019 = _variant("a1-2019")
mnasnet_a1_2019_140 = _variant("a1-2019", 1.4)
mnasnet_a1_2019_075 = _variant("a1-2019", 0.75)
mnasnet_a1_2019_050 = _variant("a1-2019", 0.5)
mnasnet_a1_2019_035 = _variant("a1-2019", 0.35)
mnasnet_b1_2019 = _variant("b1-2019")
mnasnet_b1_2019_140 = _variant("b1-2019", 1.4)
mnasnet_b1_2019_075 = _variant("b1-2019", 0.75)
mnasnet_b1_2019_050 = _variant("b1-2019", 0.5)
mnasnet_b1_2019_035 = _variant("b1-2019", 0.35)
mnasnet_mobilenet_v2 = _variant("mobilenet-v2")
mnasnet_mobilenet_v2_140 = _variant("mobilenet-v2", 1.4)
mnasnet_mobilenet_v2_075 = _variant("mobilenet-v2", 0.75)
mnasnet_mobilenet_v2_050 = _variant("mobilenet-v2", 0.5)
mnasnet_mobilenet_v2_035 = _variant("mobilenet-v2", 0.35)

# As in slim's ``nets_factory``: every function above by its name, and the arg scope for its training.
networks_map = {name: value for name, value in list(globals().items()) if hasattr(value, "default_image_size")}
arg_scopes_map = dict.fromkeys(networks_map, training_scope)
