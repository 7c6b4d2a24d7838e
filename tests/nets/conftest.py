"""Nets in their own graph with a session. These tests cover nets/ alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

SIZE = 65  # 65 -> 33 -> 17 -> 9 -> 5 -> 3: no stride of 2 has an even size


@pytest.fixture
def graph() -> Iterator[Any]:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.compat.v1.set_random_seed(0)
        yield graph


@pytest.fixture
def run(graph):
    """Returns a function that initializes (statistics and gates drawn at random) and evaluates tensors."""
    from mnasnet_cli.nets.slim_compat import tf1

    def evaluate(tensors: Any, feed: Any = None) -> Any:
        random, drawn = np.random.RandomState(0), {}
        for variable in tf1.global_variables():
            if "BatchNorm" in variable.op.name:
                low = 0.5 if variable.op.name.endswith(("gamma", "moving_variance")) else -0.3
                _, initial_value = variable.initializer.inputs
                drawn[initial_value] = random.uniform(low, low + 0.6, variable.shape.as_list())
        with tf1.Session(graph=graph) as session:
            session.run(tf1.global_variables_initializer(), drawn)
            return session.run(tensors, feed)

    return evaluate


@pytest.fixture
def images(graph):
    import tensorflow as tf

    pixels = np.random.RandomState(1).uniform(-1, 1, [2, SIZE, SIZE, 3])
    return tf.constant(pixels, tf.float32)
