"""Plots of complete and of empty data are written as PNG, without other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnasnet_cli.metrics.plots import plot_confusion, plot_curves, plot_images


def is_drawn(path: Path) -> bool:
    with Image.open(path) as image:
        return image.format == "PNG" and len(set(image.convert("L").tobytes())) > 2


@pytest.mark.parametrize("validated", [True, False])
def test_curves(tmp_path: Path, validated: bool) -> None:
    lines = [{"split": "train", "epoch": e / 2, "loss": 3 - e, "learning_rate": 0.1} for e in range(3)]
    if validated:
        lines += [{"split": "validation", "epoch": 1.0, "loss": 2.0, "top1": 0.5}]
    plot_curves(lines, "top1", tmp_path / "curves.png")
    assert is_drawn(tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_confusion_matrix_with_a_class_without_examples(tmp_path: Path) -> None:
    plot_confusion(np.array([[2, 1], [0, 0]]), ["ant", "bee"], tmp_path / "confusion.png")
    assert is_drawn(tmp_path / "confusion.png")


@pytest.mark.parametrize("count", [0, 1, 7])
def test_image_grids(tmp_path: Path, count: int) -> None:
    image = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 48, 3))
    plot_images([image] * count, [f"number {i}\nwith $odd_ text" for i in range(count)], tmp_path / "images.png")
    assert (tmp_path / "images.png").stat().st_size


def test_long_names_leave_room_for_the_matrix(tmp_path: Path) -> None:
    names = ["a class with quite a long name of several words", "$x$", "short"]
    plot_confusion(np.eye(3, dtype=np.int64), names, tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0] > 60).any(axis=1)  # the diagonal, the darkest blue
    assert blue.sum() > 200
