"""What counts as the same model."""

from __future__ import annotations

import numpy as np
import pytest

from mnasnet_cli.export.parity import compare, joined


def _boxes(boxes, scores, classes):
    used = len(scores)
    made = {
        "detection_boxes": np.zeros((1, 4, 4), np.float32),
        "detection_scores": np.zeros((1, 4), np.float32),
        "detection_classes": np.zeros((1, 4), np.int32),
        "num_detections": np.array([used], np.int32),
    }
    made["detection_boxes"][0, :used] = boxes
    made["detection_scores"][0, :used] = scores
    made["detection_classes"][0, :used] = classes
    return made


def test_logits_that_differ():
    wanted = {"logits": np.array([[4.0, 1.0, 0.0], [0.0, 0.01, 0.0]])}
    got = {"logits": np.array([[3.5, 1.0, 0.0], [0.0, 0.0, 0.01]])}  # the second is a tie
    comparison = compare(got, wanted, "tflite")
    assert comparison.difference == pytest.approx(0.5)
    assert comparison.relative == pytest.approx(0.125)
    assert comparison.agreement == 1.0
    assert comparison.fault("tflite", "classifier") == "logits differ by up to 0.12 of the largest (0.001 is allowed)"
    assert comparison.fault("tflite-int8", "classifier") == ""


def test_another_class_is_a_fault():
    comparison = compare({"logits": np.array([[0.9, 1.0]])}, {"logits": np.array([[1.0, 0.9]])}, "tflite-int8")
    assert comparison.agreement == 0.0
    assert comparison.fault("tflite-int8", "classifier") == "top-1 agrees for 0.0% (75% is asked)"


def test_infinite_logits_are_a_fault():
    comparison = compare({"logits": np.array([[np.nan, 1.0]])}, {"logits": np.array([[1.0, 0.9]])}, "onnx")
    assert "logits differ by up to nan" in comparison.fault("onnx", "classifier")


def test_boxes_are_looked_for_both_ways_and_in_their_class():
    wanted = _boxes([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0.9, 0.5], [1, 2])
    assert compare(wanted, wanted, "onnx").agreement == 1.0
    lost = _boxes([[0, 0, 0.5, 0.5]], [0.9], [1])
    comparison = compare(lost, wanted, "onnx")
    assert comparison.agreement == pytest.approx(2 / 3)  # one of one, and one of two
    assert comparison.difference == 0.0
    nothing = _boxes(np.zeros((0, 4)), [], [])
    comparison = compare(nothing, wanted, "onnx")
    assert (comparison.agreement, comparison.counted) == (0.0, 2)
    assert comparison.difference == pytest.approx(0.9)  # of the best score
    weaker = _boxes([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0.9, 0.3], [1, 2])
    assert compare(weaker, wanted, "onnx").difference == pytest.approx(0.2)
    other_class = _boxes([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0.9, 0.5], [1, 3])
    assert compare(other_class, wanted, "onnx").agreement == 0.5
    moved = _boxes([[0, 0, 0.5, 0.45], [0.5, 0.5, 1, 1]], [0.9, 0.5], [1, 2])  # an overlap of 0.9
    assert compare(moved, wanted, "onnx").agreement == 0.5
    assert compare(moved, wanted, "tflite-int8").agreement == 1.0


def test_boxes_that_are_alike_are_told_apart_by_their_scores():
    same = [[0, 0, 0.5, 0.5]] * 2
    wanted = _boxes(same, [0.9, 0.4], [1, 1])
    assert compare(wanted, wanted, "onnx").difference == 0.0
    assert compare(_boxes(same, [0.9, 0.6], [1, 1]), wanted, "onnx").difference == pytest.approx(0.2)


def test_boxes_that_no_one_looks_at_do_not_count():
    wanted = _boxes([[0, 0, 0.5, 0.5]], [0.04], [1])
    comparison = compare(_boxes([[0.5, 0.5, 1, 1]], [0.041], [2]), wanted, "tflite-int8")
    assert (comparison.agreement, comparison.counted) == (None, 0)
    assert comparison.fault("tflite-int8", "detector") == ""


def test_integers_may_differ_on_some_images():
    wanted = {"logits": np.tile([10.0, 0.0], (20, 1))}
    got = {"logits": wanted["logits"].copy()}
    got["logits"][0, 0] = 90.0
    comparison = compare(got, wanted, "tflite-int8")
    assert (comparison.difference, comparison.relative) == (80.0, 0.0)
    assert compare(got, wanted, "tflite-fp16").relative == 8.0


def test_batches_are_joined():
    parts = [{"logits": np.ones((2, 3))}, {"logits": np.zeros((1, 3))}]
    assert joined(parts)["logits"].shape == (3, 3)
