"""Comparisons of an artifact's outputs with its checkpoint's."""

from __future__ import annotations

import numpy as np
import pytest

from mnasnet_cli.export.parity import compare, concatenate, two_numbers


def _boxes(boxes, scores, classes):
    count = len(scores)
    outputs = {
        "detection_boxes": np.zeros((1, 4, 4), np.float32),
        "detection_scores": np.zeros((1, 4), np.float32),
        "detection_classes": np.zeros((1, 4), np.int32),
        "num_detections": np.array([count], np.int32),
    }
    outputs["detection_boxes"][0, :count] = boxes
    outputs["detection_scores"][0, :count] = scores
    outputs["detection_classes"][0, :count] = classes
    return outputs


def _assert_mentions(fault, *numbers):
    for number in numbers:
        assert number in fault, fault


def test_logits_that_differ():
    expected = {"logits": np.array([[4.0, 1.0, 0.0], [0.0, 0.01, 0.0]])}
    outputs = {"logits": np.array([[3.5, 1.0, 0.0], [0.0, 0.0, 0.01]])}  # the second image is a tie
    comparison = compare(outputs, expected, "tflite")
    assert comparison.difference == pytest.approx(0.5)
    assert comparison.relative == pytest.approx(0.125)
    assert comparison.agreement == 1.0
    _assert_mentions(comparison.fault("tflite", "classification"), "logits", "0.12", "0.001")
    assert comparison.fault("tflite-int8", "classification") == ""


def test_another_class_is_a_fault():
    comparison = compare({"logits": np.array([[0.9, 1.0]])}, {"logits": np.array([[1.0, 0.9]])}, "tflite-int8")
    assert comparison.agreement == 0.0
    _assert_mentions(comparison.fault("tflite-int8", "classification"), "top-1", "0%", "75%")


def test_numbers_that_differ_look_different() -> None:
    assert two_numbers(0.123456, 0.001) == ("0.123", "0.001")
    assert two_numbers(0.35004, 0.35) == ("0.35004", "0.35")
    assert two_numbers(94.99999, 95) == ("94.99999", "95")
    assert two_numbers(0.5, 0.5) == ("0.5", "0.5")


def test_logits_that_are_not_numbers_are_a_fault():
    comparison = compare({"logits": np.array([[np.nan, 1.0]])}, {"logits": np.array([[1.0, 0.9]])}, "onnx")
    _assert_mentions(comparison.fault("onnx", "classification"), "logits", "nan")


def test_boxes_match_in_both_directions_and_within_their_class():
    expected = _boxes([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0.9, 0.5], [1, 2])
    assert compare(expected, expected, "onnx").agreement == 1.0
    missing = _boxes([[0, 0, 0.5, 0.5]], [0.9], [1])
    comparison = compare(missing, expected, "onnx")
    assert comparison.agreement == pytest.approx(2 / 3)  # one of one, and one of two
    assert comparison.difference == 0.0
    _assert_mentions(comparison.fault("onnx", "detection"), "boxes", "66.7%", "99%")
    nothing = _boxes(np.zeros((0, 4)), [], [])
    comparison = compare(nothing, expected, "onnx")
    assert (comparison.agreement, comparison.counted) == (0.0, 2)
    assert comparison.difference == pytest.approx(0.9)  # of the best score
    weaker = _boxes([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0.9, 0.3], [1, 2])
    comparison = compare(weaker, expected, "onnx")
    assert comparison.difference == pytest.approx(0.2)
    _assert_mentions(comparison.fault("onnx", "detection"), "scores", "0.2", "0.001")
    other_class = _boxes([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0.9, 0.5], [1, 3])
    assert compare(other_class, expected, "onnx").agreement == 0.5
    moved = _boxes([[0, 0, 0.5, 0.45], [0.5, 0.5, 1, 1]], [0.9, 0.5], [1, 2])  # an IoU of 0.9
    assert compare(moved, expected, "onnx").agreement == 0.5
    assert compare(moved, expected, "tflite-int8").agreement == 1.0


def test_equal_boxes_match_by_their_scores():
    same = [[0, 0, 0.5, 0.5]] * 2
    expected = _boxes(same, [0.9, 0.4], [1, 1])
    assert compare(expected, expected, "onnx").difference == 0.0
    assert compare(_boxes(same, [0.9, 0.6], [1, 1]), expected, "onnx").difference == pytest.approx(0.2)


def test_boxes_of_low_score_or_no_area_are_ignored():
    expected = _boxes([[0, 0, 0.5, 0.5]], [0.04], [1])
    comparison = compare(_boxes([[0.5, 0.5, 1, 1]], [0.041], [2]), expected, "tflite-int8")
    assert (comparison.agreement, comparison.counted) == (None, 0)
    assert comparison.fault("tflite-int8", "detection") == ""
    thin = _boxes([[0, 0, 1, 0]], [0.9], [1])
    assert compare(thin, thin, "onnx").counted == 0


def test_int8_may_exceed_its_limit_on_some_images():
    expected = {"logits": np.tile([10.0, 0.0], (20, 1))}
    outputs = {"logits": expected["logits"].copy()}
    outputs["logits"][0, 0] = 90.0
    comparison = compare(outputs, expected, "tflite-int8")
    assert (comparison.difference, comparison.relative) == (80.0, 0.0)
    assert compare(outputs, expected, "tflite-fp16").relative == 8.0


def test_batches_are_concatenated():
    batches = [{"logits": np.ones((2, 3))}, {"logits": np.zeros((1, 3))}]
    assert concatenate(batches)["logits"].shape == (3, 3)
