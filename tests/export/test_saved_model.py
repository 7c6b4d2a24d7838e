"""SavedModels as other programs use them: through the documented signatures."""

from __future__ import annotations

import tensorflow as tf


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
