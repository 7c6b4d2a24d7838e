"""Plots of complete and of empty data are written as PNG, without other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnasnet_cli.metrics.plots import plot_class_bars, plot_confusion, plot_curves


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


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize("outside", [None, ("nothing", "missed")])
def test_a_matrix_of_many_classes_shows_those_with_the_most_confusions(
    tmp_path: Path, outside: tuple[str, str] | None
) -> None:
    counts = np.eye(1000 + (outside is not None), dtype=np.int64)
    counts[3, 5] = 7
    plot_confusion(counts, [f"class {number}" for number in range(1000)], tmp_path / "c.png", outside=outside)
    assert max(size_of(tmp_path / "c.png")) < 2000


@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_bars_by_class(tmp_path: Path, count: int) -> None:
    rows = [(f"class $ {number}", 5, number / 1000, 0.5) for number in range(count)]
    names = {"what": "AP", "score": "AP", "other": "AP50", "counted": "annotations"}
    plot_class_bars(rows, tmp_path / "bars.png", **names, nested=count == 7)
    assert is_drawn(tmp_path / "bars.png")
    assert size_of(tmp_path / "bars.png")[1] < 2200


def test_letters_without_a_font_make_no_noise(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    plot_confusion(np.eye(2, dtype=np.int64), ["\U0003134f", "собака\n\x1b\ud800"], tmp_path / "c.png")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_long_names_leave_room_for_the_matrix(tmp_path: Path) -> None:
    names = ["a class with quite a long name of several words", "$x$", "short"]
    plot_confusion(np.eye(3, dtype=np.int64), names, tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0] > 60).any(axis=1)  # the diagonal, the darkest blue
    assert blue.sum() > 150
