"""Tensors of a TFLite file in the opposite order: the outputs stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from mnasnet_cli.export.tflite.tensor_order import reverse_tensor_order
from mnasnet_cli.latency.variants import convert_variant


@pytest.fixture(scope="module")
def product() -> bytes:
    """A file with two layers without bias (the input of FULLY_CONNECTED is then missing), and a sum."""

    first, second = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
    def layers(tensors: tf.Tensor) -> tf.Tensor:
        hidden = tf.nn.relu(tensors @ first)
        return tf.math.sigmoid(hidden + hidden @ second)

    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([layers.get_concrete_function()]).convert())


def test_intermediate_tensors_are_in_the_opposite_order(product: bytes) -> None:
    changed = reverse_tensor_order(product)
    computed = _computed(changed)
    assert len(computed) >= 3
    assert computed[:-1] == sorted(computed[:-1], reverse=True)  # the last one is the output, which keeps its index
    assert computed[-1] == _computed(product)[-1] == max(computed)
    assert any(-1 in operation["inputs"] for operation in _operations(changed))


def test_the_outputs_stay_the_same(product: bytes) -> None:
    changed = reverse_tensor_order(product)
    np.testing.assert_array_equal(_run(changed), _run(product))
    assert changed != product
    assert reverse_tensor_order(changed) == product


@pytest.mark.parametrize("int8", [False, pytest.param(True, marks=pytest.mark.variation)])
def test_exported_files_have_this_order(tmp_path: Path, int8: bool) -> None:
    reversed_order = convert_variant("b1", 0.35, 32, tmp_path, int8=int8).read_bytes()
    assert _computed(reversed_order)[0] > _computed(reversed_order)[1]
    original = reverse_tensor_order(reversed_order)
    assert _computed(original) == sorted(_computed(original))
    np.testing.assert_array_equal(_run(reversed_order), _run(original))


def _operations(content: bytes) -> list[dict[str, Any]]:
    return list(Interpreter(model_content=content)._get_ops_details())


def _computed(content: bytes) -> list[int]:
    """The indices of the operations' outputs, in the order of computation."""
    return [int(number) for operation in _operations(content) for number in operation["outputs"]]


def _run(content: bytes) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    values = np.random.default_rng(0).integers(-100, 100, size=details["shape"])
    interpreter.set_tensor(details["index"], values.astype(details["dtype"]))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
