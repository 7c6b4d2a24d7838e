"""Tensors of a TFLite file numbered from the last to the first: another order, the same numbers out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from mnasnet_cli.export.tflite.tensor_order import number_from_last_to_first
from mnasnet_cli.latency.variants import convert_variant


@pytest.fixture(scope="module")
def product() -> bytes:
    """Two layers without bias, an input that LiteRT's FULLY_CONNECTED may lack, and a sum."""

    first, second = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
    def layers(tensors: tf.Tensor) -> tf.Tensor:
        hidden = tf.nn.relu(tensors @ first)
        return tf.math.sigmoid(hidden + hidden @ second)

    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([layers.get_concrete_function()]).convert())


def test_what_operations_give_is_numbered_from_the_last(product: bytes) -> None:
    changed = number_from_last_to_first(product)
    given = _given(changed)
    assert len(given) >= 3
    assert given[:-1] == sorted(given[:-1], reverse=True)  # the last is the output, which keeps its number
    assert given[-1] == _given(product)[-1] == max(given)
    assert any(-1 in operation["inputs"] for operation in _operations(changed))


def test_it_computes_the_same(product: bytes) -> None:
    changed = number_from_last_to_first(product)
    np.testing.assert_array_equal(_run(changed), _run(product))
    assert changed != product
    assert number_from_last_to_first(changed) == product


@pytest.mark.parametrize("int8", [False, True])
def test_files_are_numbered_so(tmp_path: Path, int8: bool) -> None:
    numbered = convert_variant("b1", 0.35, 32, tmp_path, int8=int8).read_bytes()
    assert _given(numbered)[0] > _given(numbered)[1]
    as_computed = number_from_last_to_first(numbered)
    assert _given(as_computed) == sorted(_given(as_computed))
    np.testing.assert_array_equal(_run(numbered), _run(as_computed))


def _operations(content: bytes) -> list[dict[str, Any]]:
    return list(Interpreter(model_content=content)._get_ops_details())


def _given(content: bytes) -> list[int]:
    """The numbers of what the operations give, in their order."""
    return [int(number) for operation in _operations(content) for number in operation["outputs"]]


def _run(content: bytes) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    values = np.random.default_rng(0).integers(-100, 100, size=given["shape"])
    interpreter.set_tensor(given["index"], values.astype(given["dtype"]))
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
