"""TFLite files: their types, their signatures, and both ways in which LiteRT runs them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, HardwareAccelerator, Options
from ai_edge_litert.interpreter import Interpreter
from graph_cases import short_nets

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.errors import CheckFailed
from mnasnet_cli.export.tflite import converter
from mnasnet_cli.export.tflite.converter import write_tflite, write_tflite_fp16
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.latency.variants import untrained_model


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_int8_files_have_no_floats(request, kind):
    folder = request.getfixturevalue(f"exported_{kind}") / "tflite-int8"
    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    interpreter.allocate_tensors()
    types = {details["dtype"] for details in interpreter.get_tensor_details()}
    assert np.float32 not in types
    assert np.int8 in types
    signature = json.loads((folder / "manifest.json").read_text())["signature"]
    outputs = {"logits"} if kind == "classifier" else {"class_logits", "box_deltas"}
    assert set(signature["outputs"]) == outputs
    for tensor in [*signature["inputs"].values(), *signature["outputs"].values()]:
        assert tensor["dtype"] == "int8"
        assert tensor["scale"] > 0


@pytest.mark.parametrize("format", ["tflite", "tflite-fp16", "tflite-int8"])
@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_interpreter_and_compiled_model_agree(request, kind, format):
    _assert_same(request.getfixturevalue(f"exported_{kind}") / format / "model.tflite")


def test_they_agree_on_padded_classes_and_fp16_files_are_smaller(tmp_path):
    with short_nets():
        loaded = untrained_model("b1", 0.35, 32)
    path = write_tflite(loaded, tmp_path, None).path
    _assert_same(path)
    size = path.stat().st_size
    assert 0.45 < write_tflite_fp16(loaded, tmp_path).path.stat().st_size / size < 0.6


def test_a_failed_conversion_is_one_line(made_classifier, tmp_path, monkeypatch):
    def fail(content):
        raise RuntimeError("no such operation\nmore")

    monkeypatch.setattr(converter, "reverse_tensor_order", fail)
    with pytest.raises(CheckFailed, match=r"no such operation$"):
        write_tflite(load_model(find_checkpoint(str(made_classifier))), tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def _assert_same(path):
    runner = Interpreter(model_path=str(path)).get_signature_runner()
    ((name, details),) = runner.get_input_details().items()
    image = (np.random.default_rng(0).normal(size=details["shape"]) * 40).astype(details["dtype"])
    expected = runner(**{name: image})

    options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=1))
    model = CompiledModel.from_file(str(path), options=options)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    inputs[0].write(image)
    model.run_by_index(0, inputs, outputs)
    for output, buffer in zip(model.get_signature_list()["serving_default"]["outputs"], outputs, strict=True):
        wanted = expected[output]
        values = buffer.read(wanted.size, wanted.dtype).reshape(wanted.shape)
        np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=1e-4, err_msg=output)
