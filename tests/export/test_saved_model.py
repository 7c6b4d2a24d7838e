"""SavedModels as other programs use them: with TensorFlow only, through the documented signatures."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.export.sample_images import generated_image
from mnasnet_cli.inference.runner import open_model

PROGRAM = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
outputs = model.signatures["serving_default"](image_bytes=tf.constant([open(sys.argv[2], "rb").read()] * 2))
assert not [name for name in sys.modules if name.startswith(("mnasnet", "tf_slim"))]
print(json.dumps({name: values.numpy().tolist() for name, values in outputs.items()}))
"""


def test_a_saved_model_needs_nothing_but_tensorflow(exported_classifier, made_classifier, tmp_path):
    image = tmp_path / "image.jpg"
    image.write_bytes(generated_image(3, 32))
    command = [sys.executable, "-c", PROGRAM, str(exported_classifier / "saved-model" / "1"), str(image)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    outputs = json.loads(result.stdout)
    runner = open_model(str(made_classifier))
    expected = runner.predict_tensors(runner.preprocess(image.read_bytes())[np.newaxis])["logits"]
    np.testing.assert_allclose(outputs["logits"], np.repeat(expected, 2, axis=0), atol=1e-5)
    assert np.sum(outputs["probabilities"][0]) == pytest.approx(1.0, abs=1e-6)


def test_the_signatures_are_the_documented_ones(exported_detector):
    saved = tf.saved_model.load(str(exported_detector / "saved-model" / "1"))
    inputs = {
        name: [(key, spec.dtype, spec.shape.as_list()) for key, spec in signature.structured_input_signature[1].items()]
        for name, signature in saved.signatures.items()
    }
    assert inputs == {
        "serving_default": [("image_bytes", tf.string, [None])],
        "images": [("images", tf.uint8, [None, None, None, 3])],
        "tensors": [("images", tf.float32, [None, 64, 64, 3])],
    }
    outputs = saved.signatures["images"](images=tf.zeros([2, 50, 90, 3], tf.uint8))
    assert outputs["detection_boxes"].shape == [2, 100, 4]
    assert set(outputs["detection_classes"].numpy().ravel()) <= {0, 1, 4, 7}
    assert outputs["num_detections"].dtype == tf.int32
