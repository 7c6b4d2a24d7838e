"""Arg scopes: one for training, and defaults from a spec for what no outer scope sets."""

from __future__ import annotations

from typing import Any

from . import blocks, layers
from .architecture import NetSpec
from .slim_compat import DELAYED_UPDATES, scoped_arguments, slim, tf1


def training_scope(
    is_training: bool | None = True,
    weight_decay: float = 1e-5,
    stddev: float | None = None,
    dropout_keep_prob: float | None = None,
    batch_norm_decay: float | None = None,
    batch_norm_epsilon: float | None = None,
    regularize_depthwise: bool = True,
    updates_collections: Any = tuple(DELAYED_UPDATES),
) -> dict[str, Any]:
    """Returns an arg scope for training. None leaves a setting to the spec or an outer scope.

    Args:
      is_training: for batch norm and dropout; a call's own ``is_training`` overrides it.
      weight_decay: factor of sum(w²) / 2 over all trainable variables except batch norm's, as in the TPU code:
        kernels, including depthwise ones, and the biases of squeeze-excite and logits.
      stddev: None initializes as the TPU code does (fan-out normal, uniform logits); a number gives all kernels a
        truncated normal with this deviation, as in slim's mobilenets.
      dropout_keep_prob: fraction of the features that is kept before the logits.
      batch_norm_decay: for the moving statistics; the paper's nets have 0.99, the 2019 port 0.9997.
      batch_norm_epsilon: the paper's nets have 1e-3.
      regularize_depthwise: False excludes depthwise kernels from the weight decay, as in slim's mobilenets.
      updates_collections: the collections for updates of moving statistics; None runs them in place, as TensorFlow 2
        functions need.
    """
    regularizer = slim.l2_regularizer(weight_decay) if weight_decay else None
    truncated = None if stddev is None else tf1.truncated_normal_initializer(stddev=stddev)
    kernels = {"weights_initializer": truncated or layers.conv_initializer()}
    depthwise = {**kernels, "weights_regularizer": regularizer if regularize_depthwise else None}
    dense = {**kernels, "weights_regularizer": regularizer, "biases_regularizer": regularizer}
    # A list, because slim's own default uses a code path that TensorFlow 2 no longer has.
    collections = [updates_collections] if isinstance(updates_collections, str) else updates_collections
    collections = None if collections is None else list(collections)
    norm = {"is_training": is_training, "decay": batch_norm_decay, "epsilon": batch_norm_epsilon}
    norm = {key: value for key, value in norm.items() if value is not None}
    dropout = {} if dropout_keep_prob is None else {"keep_prob": dropout_keep_prob}
    with slim.arg_scope([slim.conv2d, slim.fully_connected], **dense), slim.arg_scope(
        [slim.separable_conv2d], **depthwise
    ), slim.arg_scope([blocks.classify], weights_initializer=truncated or layers.logits_initializer()), slim.arg_scope(
        [slim.batch_norm], updates_collections=collections, **norm
    ), slim.arg_scope([slim.dropout], **dropout) as scope:
        return scope


def resolve_training(is_training: Any) -> Any:
    """Returns the argument if it is given, else the arg scope's value for batch norm, else False."""
    outer = scoped_arguments(slim.batch_norm).get("is_training")
    given = outer if is_training is None else is_training
    return False if given is None else given


def norm_scope(spec: NetSpec, is_training: Any) -> Any:
    """Returns an arg scope with the spec's settings of batch norm, except those that an outer scope sets."""
    outer = scoped_arguments(slim.batch_norm)
    ours = {
        "decay": spec.dialect.batch_norm_decay,
        "epsilon": spec.dialect.batch_norm_epsilon,
        "updates_collections": list(DELAYED_UPDATES),
    }
    ours = {key: value for key, value in ours.items() if key not in outer}
    return slim.arg_scope([slim.batch_norm], is_training=is_training, center=True, scale=True, **ours)
