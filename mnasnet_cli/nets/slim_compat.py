"""Makes TF-Slim work on TensorFlow 1.15 and 2.21.

tf-slim 1.1.0 uses ``ops.Tensor`` and, if ``is_training`` is a tensor, ``control_flow_ops.cond``. Newer TensorFlow
releases have moved both; this module restores them before it imports ``tf_slim``. With its default
``updates_collections``, ``slim.batch_norm`` uses a code path that no longer exists, so the nets always pass ``None`` or
``DELAYED_UPDATES``.
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

# Slim's default ("run these with the train op") in a form that works in both releases.
DELAYED_UPDATES = [tf1.GraphKeys.UPDATE_OPS]


def scoped_arguments(layer: Callable[..., Any]) -> dict[str, Any]:
    """Returns a copy of what the current ``slim.arg_scope`` sets for ``layer``; {} if it sets nothing."""
    return dict(slim.current_arg_scope().get(slim.arg_scope_func_key(layer), {}))


__all__ = ["DELAYED_UPDATES", "scoped_arguments", "slim", "slim_utils", "tf", "tf1"]
