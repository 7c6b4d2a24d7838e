"""TF-Slim on TensorFlow 1.15 and on 2.21: the one place that knows what has to be mended.

tf-slim 1.1.0 reads ``ops.Tensor`` and, where ``is_training`` is a tensor, ``control_flow_ops.cond``, which
newer TensorFlow releases moved away; they are put back before ``tf_slim`` is imported. The other difference
is an argument, not a repair: ``slim.batch_norm`` with its default ``updates_collections`` takes a path that
no longer exists, so the nets always hand it ``None`` or ``DELAYED_UPDATES``.
"""

from __future__ import annotations

from typing import Any, Callable

import tensorflow as tf
from tensorflow.python.framework import ops as _ops  # type: ignore[import-untyped, unused-ignore]
from tensorflow.python.ops import control_flow_ops as _control  # type: ignore[import-untyped, unused-ignore]

if not hasattr(_ops, "Tensor"):
    _ops.Tensor = tf.Tensor
if not hasattr(_control, "cond"):
    _control.cond = tf.compat.v1.cond

import tf_slim as slim
from tf_slim.layers import utils as slim_utils

tf1 = tf.compat.v1

# What slim's default means ("run these with the train op"), in the form that works in both releases.
DELAYED_UPDATES = [tf1.GraphKeys.UPDATE_OPS]


def scoped_arguments(layer: Callable[..., Any]) -> dict[str, Any]:
    """Returns what the current ``slim.arg_scope`` sets for ``layer`` (a copy, empty where nothing is)."""
    return dict(slim.current_arg_scope().get(slim.arg_scope_func_key(layer), {}))


__all__ = ["DELAYED_UPDATES", "scoped_arguments", "slim", "slim_utils", "tf", "tf1"]
