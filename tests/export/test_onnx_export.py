"""ONNX files: names, opset and outputs."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest

from mnasnet_cli.inference.manifest import read_manifest
from mnasnet_cli.inference.outputs import DETECTOR_OUTPUTS
from mnasnet_cli.inference.runner import open_model

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_inputs_and_outputs_have_the_names_of_the_manifest(request, kind):
    folder = request.getfixturevalue(f"exported_{kind}") / "onnx"
    model = onnx.load(str(folder / "model.onnx"))
    onnx.checker.check_model(model)
    signature = json.loads((folder / "manifest.json").read_text())["signature"]
    assert [item.name for item in model.graph.input] == list(signature["inputs"]) == ["tensors"]
    expected = {"logits", "probabilities"} if kind == "classifier" else set(DETECTOR_OUTPUTS)
    assert {item.name for item in model.graph.output} == set(signature["outputs"]) == expected


def test_the_manifest_names_the_opset(exported_classifier):
    model = onnx.load(str(exported_classifier / "onnx" / "model.onnx"))
    opsets = {item.domain: item.version for item in model.opset_import}
    versions = read_manifest(exported_classifier / "onnx" / "model.onnx").versions
    assert versions["opset"] == str(opsets[""]) == "17"
    assert versions["tf2onnx"]


def test_onnx_runtime_takes_any_number_of_images(made_classifier, exported_classifier):
    session = onnxruntime.InferenceSession(str(exported_classifier / "onnx" / "model.onnx"))
    images = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)
    logits, probabilities = session.run(["logits", "probabilities"], {"tensors": images})
    expected = open_model(str(made_classifier)).predict_tensors(images)["logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
