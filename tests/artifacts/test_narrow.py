"""Bottlenecks in parts and whole vectors: the same net, and only where the pattern fits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.artifacts.graphs import build_graph
from mnasnet_cli.artifacts.narrow import _cuts, narrow_bottlenecks
from mnasnet_cli.latency.bare import random_model


def test_cuts_are_multiples_of_the_lanes_and_cover_all_channels():
    assert _cuts((5, 5, 480, 1), 20 * 1024) == [0, 160, 320, 480]
    assert _cuts((5, 5, 1152, 1), 24 * 1024) == [0, 224, 448, 704, 928, 1152]
    assert _cuts((3, 3, 96, 1), 20 * 1024) == [0, 96]
    assert _cuts((5, 5, 48, 1), 100) == [0, 48]  # fewer than two times the lanes are never cut
    assert _cuts((5, 5, 120, 1), 20 * 1024) == [0, 128]  # whole vectors


@pytest.mark.parametrize("variant", ["b1", "a1", "b1-2019", "small"])
def test_a_narrowed_net_says_the_same(variant):
    definition = build_graph(random_model(variant, 0.5, 32), None).definition
    narrowed = narrow_bottlenecks(definition, 6 * 1024)
    parts = [node.name for node in narrowed.node if node.op == "DepthwiseConv2dNative" and "/part_" in node.name]
    assert parts
    for node in narrowed.node:
        if "/part_" in node.name and node.op == "DepthwiseConv2dNative":
            kernel = next(other for other in narrowed.node if other.name == node.input[1])
            assert tf.make_ndarray(kernel.attr["value"].tensor).nbytes <= 6 * 1024 * 1.5
    image = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(_logits(narrowed, image), _logits(definition, image), rtol=1e-4, atol=1e-3)


def _logits(definition, image):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run("logits:0", {"tensors:0": image})
