"""MnasNet in the TF Object Detection API, as it runs under TensorFlow 1.15:

    from mnasnet_cli.integrations import object_detection

    object_detection.register()

Afterwards a pipeline can use ``feature_extractor { type: "ssd_mnasnet_b1_fpn" }``, RetinaNet's feature pyramid on a
MnasNet. The API and slim's folder must be on the path. The API must be of 2020 or later, which uses ``tf_slim``.

``ssd_mnasnet_a1_fpn`` and ``ssd_mnasnet_b1_fpn`` are the nets of the TF-Slim project of 2019 that introduced these
names (``a1-2019`` and ``b1-2019`` here), so that its checkpoints and pipelines work. The nets of the paper are
``ssd_mnasnet_a1_paper_fpn`` and ``ssd_mnasnet_b1_paper_fpn``.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from typing import Any

try:
    from object_detection.meta_architectures import ssd_meta_arch
    from object_detection.models import feature_map_generators
    from object_detection.utils import ops, shape_utils
except ImportError as missing:
    raise ImportError(
        f"the TF Object Detection API cannot be imported ({missing}); add its folder and its slim/ to PYTHONPATH, "
        "and install its requirements (docs/how-to/object-detection-api.md)"
    ) from missing

from mnasnet_cli.nets.architecture import NetSpec, feature_taps, scale
from mnasnet_cli.nets.detector_spec import bottom_up_scope
from mnasnet_cli.nets.mnasnet import mnasnet_base
from mnasnet_cli.nets.slim_compat import slim, tf, tf1
from mnasnet_cli.nets.spec import NETS

# Defaults of the project of 2019 if the pipeline does not override them. slim's MobileNets use the same _STDDEV.
_STDDEV = 0.09
_WEIGHT_DECAY = 1e-5


class SSDMNASNetFpnFeatureExtractor(ssd_meta_arch.SSDFeatureExtractor):
    """A feature pyramid on the MnasNet ``spec``, which subclasses set."""

    spec: NetSpec

    def __init__(
        self,
        is_training: bool,
        depth_multiplier: float,
        min_depth: int,
        pad_to_multiple: int,
        conv_hyperparams_fn: Any,
        fpn_min_level: int = 3,
        fpn_max_level: int = 7,
        additional_layer_depth: int = 256,
        reuse_weights: Any = None,
        use_explicit_padding: bool = False,
        use_depthwise: bool = False,
        use_native_resize_op: bool = False,
        override_base_feature_extractor_hyperparams: bool = False,
        **others: Any,
    ) -> None:
        """Initializes the extractor from the values that ``model_builder`` reads from the pipeline.

        Args:
          is_training: whether the detector is built for training.
          depth_multiplier: the width of the backbone; also scales the pyramid, as in the API's other extractors.
          min_depth: the minimum number of channels of a scaled layer.
          pad_to_multiple: images are padded with zeros to a multiple of this many pixels.
          conv_hyperparams_fn: returns slim's arg scope of the pyramid.
          fpn_min_level: the lowest level of the pyramid, 2 to 5; level l has the stride 2**l.
          fpn_max_level: the highest level; levels above 5 are convolutions with stride 2.
          additional_layer_depth: channels of the pyramid at width 1.
          reuse_weights: reuse of variables, as in ``tf.compat.v1.variable_scope``.
          use_explicit_padding: pad all sides equally instead of SAME padding.
          use_depthwise: use separable convolutions in the pyramid.
          use_native_resize_op: upsample with TensorFlow's own op; the values are the same.
          override_base_feature_extractor_hyperparams: use the initializer, regularizer and batch norm of the pyramid
            for the backbone, too; the activation always comes from the spec.
          others: arguments of later releases, for the base class.

        Raises:
          ValueError: the lowest level is not within 2 to 5, or is above the highest.
        """
        super().__init__(
            is_training,
            depth_multiplier,
            min_depth,
            pad_to_multiple,
            conv_hyperparams_fn,
            reuse_weights=reuse_weights,
            use_explicit_padding=use_explicit_padding,
            use_depthwise=use_depthwise,
            override_base_feature_extractor_hyperparams=override_base_feature_extractor_hyperparams,
            **others,
        )
        if not 2 <= fpn_min_level <= min(5, fpn_max_level):
            found = f"{fpn_min_level} and {fpn_max_level}"
            raise ValueError(f"fpn: expected 2 <= min_level <= 5 and min_level <= max_level, got {found}")
        self._fpn_min_level = fpn_min_level
        self._fpn_max_level = fpn_max_level
        self._additional_layer_depth = additional_layer_depth
        self._use_native_resize_op = use_native_resize_op
        self._scaled_spec = _at_least(scale(self.spec, depth_multiplier), min_depth)

    def preprocess(self, resized_inputs: Any) -> Any:
        """Scales pixels [N, H, W, 3] from [0, 255] to [-1, 1]."""
        return (2.0 / 255.0) * resized_inputs - 1.0

    def extract_features(self, preprocessed_inputs: Any) -> list[Any]:
        """Builds the net on [N, H, W, 3]; returns the pyramid's levels [N, H / 2**l, W / 2**l, C], lowest first."""
        images = shape_utils.check_min_image_dim(33, preprocessed_inputs)
        images = ops.pad_to_multiple(images, self._pad_to_multiple)
        with tf1.variable_scope("Mnasnet", reuse=self._reuse_weights) as scope:
            end_points = self._backbone(images, scope)
            with slim.arg_scope(self._conv_hyperparams_fn()), tf1.variable_scope("fpn", reuse=self._reuse_weights):
                return self._pyramid(end_points)

    def restore_from_classification_checkpoint_fn(self, feature_extractor_scope: str) -> dict[str, Any]:
        """Returns {name in a checkpoint of a classifier: variable} for the backbone.

        It leaves out the pyramid, which no classifier has, so that the API does not warn about it.
        """
        found = super().restore_from_classification_checkpoint_fn(feature_extractor_scope)
        return {name: variable for name, variable in found.items() if not name.startswith("Mnasnet/fpn/")}

    def _taps(self) -> dict[int, str]:
        """Returns {level: layer} for the levels of the pyramid that are layers of the backbone."""
        taps = feature_taps(self._scaled_spec)
        return {level: taps[2**level] for level in range(self._fpn_min_level, min(5, self._fpn_max_level) + 1)}

    def _backbone(self, images: Any, scope: Any) -> dict[str, Any]:
        layers = self._taps()
        initializer = tf1.truncated_normal_initializer(stddev=_STDDEV)
        # SSDMetaArch sets a scope around this with the training mode and the update ops of batch norm.
        with slim.arg_scope([slim.conv2d, slim.separable_conv2d], weights_initializer=initializer), slim.arg_scope(
            [slim.conv2d], weights_regularizer=slim.l2_regularizer(_WEIGHT_DECAY)
        ), slim.arg_scope(
            self._conv_hyperparams_fn()
            if self._override_base_feature_extractor_hyperparams
            else slim.current_arg_scope()
        ):
            _, end_points = mnasnet_base(
                images,
                self._scaled_spec,
                final_endpoint=layers[max(layers)],
                use_explicit_padding=self._use_explicit_padding,
                scope=scope,
            )
        return end_points

    def _pyramid(self, end_points: dict[str, Any]) -> list[Any]:
        taps = self._taps()
        top = max(taps)
        channels = max(int(self._additional_layer_depth * self._depth_multiplier), self._min_depth)
        features = feature_map_generators.fpn_top_down_feature_maps(
            [(layer, end_points[layer]) for layer in taps.values()],
            channels,
            use_depthwise=self._use_depthwise,
            use_explicit_padding=self._use_explicit_padding,
            use_native_resize_op=self._use_native_resize_op,
        )
        levels = [features[f"top_down_{layer}"] for layer in taps.values()]
        separable = functools.partial(slim.separable_conv2d, depth_multiplier=1)
        convolve = separable if self._use_depthwise else slim.conv2d
        for level in range(top + 1, self._fpn_max_level + 1):
            net, padding = levels[-1], "SAME"
            if self._use_explicit_padding:
                net, padding = ops.fixed_padding(net, 3), "VALID"
            scope = bottom_up_scope(level, top)
            levels.append(convolve(net, channels, kernel_size=[3, 3], stride=2, padding=padding, scope=scope))
        return levels


class SSDMNASNetA1FpnFeatureExtractor(SSDMNASNetFpnFeatureExtractor):
    """MnasNet-A1 of the 2019 project."""

    spec = NETS["a1-2019"]


class SSDMNASNetB1FpnFeatureExtractor(SSDMNASNetFpnFeatureExtractor):
    """MnasNet-B1 of the 2019 project, whose detector reached 33.7 mAP on COCO."""

    spec = NETS["b1-2019"]


class SSDMNASNetA1PaperFpnFeatureExtractor(SSDMNASNetFpnFeatureExtractor):
    """MnasNet-A1 of the paper."""

    spec = NETS["a1"]


class SSDMNASNetB1PaperFpnFeatureExtractor(SSDMNASNetFpnFeatureExtractor):
    """MnasNet-B1 of the paper."""

    spec = NETS["b1"]


class SSDMNASNetSmallFpnFeatureExtractor(SSDMNASNetFpnFeatureExtractor):
    """MnasNet-small of the paper."""

    spec = NETS["small"]


class SSDMNASNetD1FpnFeatureExtractor(SSDMNASNetFpnFeatureExtractor):
    """The net that was found by a search with a detector."""

    spec = NETS["d1"]


class SSDMobileNetV2PyramidFeatureExtractor(SSDMNASNetFpnFeatureExtractor):
    """MobileNetV2 with the same pyramid, for comparison; the API has an extractor of its own for it as well."""

    spec = NETS["mobilenet-v2"]


FEATURE_EXTRACTORS = {
    "ssd_mnasnet_a1_fpn": SSDMNASNetA1FpnFeatureExtractor,
    "ssd_mnasnet_b1_fpn": SSDMNASNetB1FpnFeatureExtractor,
    "ssd_mnasnet_a1_paper_fpn": SSDMNASNetA1PaperFpnFeatureExtractor,
    "ssd_mnasnet_b1_paper_fpn": SSDMNASNetB1PaperFpnFeatureExtractor,
    "ssd_mnasnet_small_fpn": SSDMNASNetSmallFpnFeatureExtractor,
    "ssd_mnasnet_d1_fpn": SSDMNASNetD1FpnFeatureExtractor,
    "ssd_mnasnet_mobilenet_v2_fpn": SSDMobileNetV2PyramidFeatureExtractor,
}


def register(builder: Any = None) -> list[str]:
    """Adds the extractors to the API's map; returns their names. A second call changes nothing.

    Args:
      builder: the module with the map; None imports the API's ``model_builder``.

    Raises:
      RuntimeError: the API runs under TensorFlow 2, where it accepts only Keras extractors.
    """
    if builder is None:
        builder = importlib.import_module("object_detection.builders.model_builder")
    extractors = getattr(builder, "SSD_FEATURE_EXTRACTOR_CLASS_MAP", None)
    if extractors is None:
        raise RuntimeError(
            f"under TensorFlow {tf.__version__} the Object Detection API accepts only Keras feature extractors; use "
            "TensorFlow 1.15 (Python 3.7) for MnasNet"
        )
    extractors.update(FEATURE_EXTRACTORS)
    return sorted(FEATURE_EXTRACTORS)


def _at_least(spec: NetSpec, min_depth: int) -> NetSpec:
    """Returns a spec with at least ``min_depth`` channels in stem and stages if its width is below 1."""
    if spec.width >= 1.0:
        return spec
    stages = tuple(dataclasses.replace(stage, channels=max(stage.channels, min_depth)) for stage in spec.stages)
    return dataclasses.replace(spec, stem=max(spec.stem, min_depth), stages=stages)
