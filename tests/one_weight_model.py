"""The smallest model that can be saved: one weight."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mnasnet_cli.modules.slim_module import SlimModule

WEIGHT = "A/b.c/weights"
INFO = {"task": "classification", "variant": "b1", "width": 1.0, "labels": ["a", "b"]}


def one_weight_model(size: int = 2) -> SlimModule:
    """Returns a model of one weight [size], which is 0."""

    def net() -> Any:
        return tf.compat.v1.get_variable(WEIGHT, [size], initializer=tf.compat.v1.zeros_initializer())

    model = SlimModule(net)
    model()
    return model
