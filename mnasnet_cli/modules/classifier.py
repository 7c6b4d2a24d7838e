"""Classifiers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mnasnet_cli.config.schema import Config
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.slim_compat import slim
from mnasnet_cli.nets.spec import layer_names

CLASSIFIER_SCOPE = "Conv2d_1c_1x1"


def make_classifier(config: Config, num_classes: int) -> SlimModule:
    """Builds a configuration's net: `model(images, is_training=…, seed=…)` returns logits [N, C] float32.

    Its other arguments: `frozen_until` as in `mnasnet_base`; `batch_norm_decay`, which overrides the configuration; and
    `with_features`, which adds the last features before pooling: it returns (logits, features [N, h, w, D] float32).
    """
    options, spec = config.model, config.model.spec

    def net(
        images: tf.Tensor,
        is_training: bool,
        seed: tf.Tensor | None = None,
        frozen_until: str | None = None,
        batch_norm_decay: Any = None,
        with_features: bool = False,
    ) -> Any:
        scope = mnasnet.training_scope(
            is_training=is_training,
            batch_norm_decay=options.batch_norm_decay if batch_norm_decay is None else batch_norm_decay,
            updates_collections=None,
        )
        with slim.arg_scope(scope):
            logits, end_points = mnasnet.mnasnet_base(
                images,
                spec,
                num_classes=num_classes,
                is_training=is_training,
                dropout_keep_prob=None if options.dropout is None else 1.0 - options.dropout,
                dropout_fn=None if seed is None else _seeded_dropout(seed),
                zero_init_residual=options.zero_init_residual,
                frozen_until=config.finetune.norm_frozen_until(frozen_until, layer_names(spec)),
            )
        logits = tf.cast(logits, tf.float32)
        return (logits, tf.cast(end_points[layer_names(spec)[-1]], tf.float32)) if with_features else logits

    model = SlimModule(net)
    size = config.data.image_size
    model.build(tf.TensorSpec([1, size, size, 3], tf.float32), is_training=False)
    return model


def is_classifier(name: str) -> bool:
    """Return whether a variable belongs to the last layer, whose outputs are the classes."""
    return f"/{CLASSIFIER_SCOPE}/" in name


def _seeded_dropout(seed: tf.Tensor) -> Any:
    """Return dropout with stateless random numbers: a step drops the same features before and after a resume."""

    def dropout(net: tf.Tensor, keep_prob: float, is_training: bool) -> tf.Tensor:
        if not is_training or keep_prob >= 1.0:
            return net
        return tf.nn.experimental.stateless_dropout(net, rate=1.0 - keep_prob, seed=seed, rng_alg="philox")

    return dropout
