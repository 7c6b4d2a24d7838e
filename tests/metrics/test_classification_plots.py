"""Precision over recall of a classifier's answers, and the plot of its confidences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnasnet_cli.metrics.classification_plots import plot_confidences, precision_recall

CONFIDENCES = np.array([0.9, 0.8, 0.6, 0.3])
CORRECT = np.array([True, False, True, False])


def test_precision_at_each_recall() -> None:
    # Answers from 0.9 on: 1 of 1 right, a quarter of all images. From 0.6 on: 2 of 3, half of them.
    found = precision_recall(CONFIDENCES, CORRECT, np.array([0.0, 0.25, 0.3, 0.5, 0.6, 1.0]))
    assert found.tolist() == pytest.approx([1, 1, 2 / 3, 2 / 3, 0, 0])
    assert precision_recall(CONFIDENCES[:0], CORRECT[:0], np.array([0.0, 1.0])).tolist() == [0, 0]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_plot_of_confidences(tmp_path: Path, count: int) -> None:
    plot_confidences(CONFIDENCES[:count], CORRECT[:count], tmp_path / "pr_curves.png")
    with Image.open(tmp_path / "pr_curves.png") as image:
        assert image.format == "PNG"
