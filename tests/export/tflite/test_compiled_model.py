"""LiteRT has two ways to run a file; whoever takes the newer one, CompiledModel, gets the same from ours."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, HardwareAccelerator, Options
from ai_edge_litert.interpreter import Interpreter

from mnasnet_cli.latency.variants import convert_variant


@pytest.mark.parametrize("form", ["tflite", "tflite-fp16", "tflite-int8"])
@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_exported_files_say_the_same_to_both(request, kind, form):
    _assert_same(request.getfixturevalue(f"exported_{kind}") / form / "model.tflite")


def test_a_net_with_filled_up_classes_says_the_same_to_both(tmp_path):
    _assert_same(convert_variant("b1", 0.35, 32, tmp_path, int8=False))


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
