"""Accuracies counted by hand."""

from __future__ import annotations

import numpy as np

from mnasnet_cli.metrics.accuracy import class_scores, confusion_matrix, summarize_accuracy

TRUTH = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 0])
OUTPUTS = {
    "labels": TRUTH,
    "predictions": PREDICTED,
    "in_top5": np.array([True, True, True, True, False, True]),
    "losses": np.array([0.5, 1.5, 2.0, 0.25, 1.75, 3.0], np.float32),
}


def test_summary() -> None:
    # Correct: examples 0, 1 and 3 of 6. Class a 2 of 3, b 1 of 2, c 0 of 1, d has none.
    summary = summarize_accuracy(OUTPUTS, ["a", "b", "c", "d"], ["ant", "bee", "cat", "dog"])
    assert summary == {
        "top1": 3 / 6,
        "top5": 5 / 6,
        "loss": 9.0 / 6,
        "examples": 6,
        "per_class": [
            {"class": "a", "name": "ant", "examples": 3, "top1": 2 / 3},
            {"class": "b", "name": "bee", "examples": 2, "top1": 1 / 2},
            {"class": "c", "name": "cat", "examples": 1, "top1": 0.0},
            {"class": "d", "name": "dog", "examples": 0, "top1": None},
        ],
    }


def test_values_without_examples_are_none() -> None:
    empty = {name: values[:0] for name, values in OUTPUTS.items()}
    summary = summarize_accuracy(empty, ["a"], ["ant"])
    assert (summary["top1"], summary["top5"], summary["loss"], summary["examples"]) == (None, None, None, 0)


def test_rows_of_a_confusion_matrix_are_true_classes() -> None:
    assert confusion_matrix(TRUTH, PREDICTED, 4).tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0] * 4]


def test_scores_by_class():
    # Class 0: 2 of 3 right, and 1 prediction too many; class 1: never predicted; class 2: no examples.
    counts = np.array([[2, 0, 1], [1, 0, 0], [0, 0, 0]])
    assert class_scores(counts) == [
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3},
        {"precision": None, "recall": 0.0, "f1": 0.0},
        {"precision": 0.0, "recall": None, "f1": None},
    ]
