"""Detectors."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mnasnet_cli.config.schema import Config
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.anchor_free import BinnedPredictions, anchor_free
from mnasnet_cli.nets.retinanet import Predictions, retinanet
from mnasnet_cli.nets.slim_compat import slim
from mnasnet_cli.nets.spec import layer_names


def make_detector(config: Config, num_classes: int) -> SlimModule:
    """Builds a configuration's net: `model(images, is_training=…)` returns float32 (`Binned`)`Predictions`.

    Its other arguments: `frozen_until` as in `retinanet`, and `batch_norm_decay`, which overrides the configuration.
    """
    options = config.detection
    assert options is not None
    spec, detector = config.model.spec, options.spec
    build = anchor_free if detector.anchor_free else retinanet

    def net(
        images: tf.Tensor, is_training: bool, frozen_until: str | None = None, batch_norm_decay: Any = None
    ) -> Predictions | BinnedPredictions:
        scope = mnasnet.training_scope(
            is_training=is_training,
            batch_norm_decay=config.model.batch_norm_decay if batch_norm_decay is None else batch_norm_decay,
            updates_collections=None,
        )
        with slim.arg_scope(scope):
            predictions, _ = build(
                images,
                spec,
                detector,
                num_classes,
                is_training=is_training,
                zero_init_residual=config.model.zero_init_residual,
                frozen_until=config.finetune.norm_frozen_until(frozen_until, layer_names(spec)),
            )
        return type(predictions)(*(tf.cast(values, tf.float32) for values in predictions))

    model = SlimModule(net)
    size = config.data.image_size
    model.build(tf.TensorSpec([1, size, size, 3], tf.float32), is_training=False)
    return model
