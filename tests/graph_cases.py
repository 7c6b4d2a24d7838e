"""TensorFlow 1 graphs in tests: weights that would show a mistake, and what a graph gives."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from made_models import detector_config, make_checkpoint

from mnasnet_cli.export.graph import build_graph, constant_node, constant_value
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.latency.variants import untrained_model
from mnasnet_cli.nets.spec import NETS


@contextlib.contextmanager
def short_nets() -> Iterator[None]:
    """A block in which no stage of a net has more than two blocks: the others are like the second."""
    short = {
        name: dataclasses.replace(
            spec, stages=tuple(dataclasses.replace(stage, repeats=min(stage.repeats, 2)) for stage in spec.stages)
        )
        for name, spec in NETS.items()
    }
    with mock.patch.dict(NETS, short):
        yield


@functools.cache
def untrained_graph(variant: str, width: float, size: int) -> Any:
    """The graph of a short classifier that no one trained, with random biases; never change it."""
    with short_nets():
        return with_random_biases(build_graph(untrained_model(variant, width, size), None).definition)


def untrained_detector(variant: str, folder: Path) -> Any:
    """The graph of a short detector that no one trained, with random biases, for images of 64 px."""
    with short_nets():
        prefix = make_checkpoint(folder, detector_config(variant), ["1", "2"], ["ant", "bee"])
        return with_random_biases(build_graph(load_model(prefix), None, heads=True).definition)


def with_random_biases(definition: Any) -> Any:
    """The graph with biases that a net in training could have; those of a new net are 0, and would prove nothing."""
    rng = np.random.default_rng(0)
    biases = {node.input[1] for node in definition.node if node.op == "BiasAdd"}
    changed = tf.compat.v1.GraphDef(versions=definition.versions)
    for node in definition.node:
        if node.name in biases:
            node = constant_node(node.name, rng.normal(size=constant_value(node).shape).astype(np.float32))
        changed.node.append(node)
    return changed


def run_graph(definition: Any, image: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
    """The outputs of these names for an image [N, S, S, 3]."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return list(session.run([f"{name}:0" for name in names], {"tensors:0": image}))


def assert_same_outputs(definition: Any, expected: Any, shape: Sequence[int], names: Sequence[str]) -> None:
    """Both graphs give the same for an image of that shape, but for how sums were rounded."""
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    results = zip(names, run_graph(definition, image, names), run_graph(expected, image, names), strict=True)
    for name, values, wanted in results:
        assert values.shape == wanted.shape
        np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max(), err_msg=name)
