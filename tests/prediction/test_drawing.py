"""Drawn boxes and classes, and the files that they are written to."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
import pytest
from image_files import as_input, noise
from PIL import Image

from mnasnet_cli.prediction.drawing import Annotator, draw_boxes, draw_classes
from mnasnet_cli.prediction.images import InputImage

BLACK = as_input(Image.new("RGB", (200, 100)))
BOX = {"name": "dog", "score": 0.8, "xmin": 20.0, "ymin": 40.0, "xmax": 120.0, "ymax": 90.0}


def test_a_box_is_drawn_at_its_place() -> None:
    pixels = np.asarray(draw_boxes(BLACK, [BOX])).astype(int)
    assert pixels.shape == (100, 200, 3)
    assert (pixels[40:91, [20, 120]].sum(axis=-1) > 0).all()
    assert (pixels[[40, 90], 20:121].sum(axis=-1) > 0).all()
    assert not pixels[50:80, 30:110].any()  # the inside stays as it is
    assert not pixels[:, 130:].any()


def test_the_best_box_is_on_top() -> None:
    first, second = {**BOX, "name": "dog"}, {**BOX, "name": "cat"}
    corner = np.asarray(draw_boxes(BLACK, [first, second]))[90, 120]
    assert corner.tolist() == np.asarray(draw_boxes(BLACK, [first]))[90, 120].tolist()
    assert corner.tolist() != np.asarray(draw_boxes(BLACK, [second]))[90, 120].tolist()


@pytest.mark.parametrize(
    "box",
    [
        {**BOX, "xmin": -50.0, "ymin": -20.0, "xmax": 900.0, "ymax": 700.0},
        {**BOX, "xmin": 190.0, "xmax": 199.0, "name": "a name that is much longer than its box"},
        {**BOX, "xmin": 120.0, "xmax": 20.0},
    ],
)
def test_boxes_beyond_the_image_and_without_area_are_drawn(box: dict[str, object]) -> None:
    assert draw_boxes(BLACK, [box]).size == (200, 100)


def test_classes_are_a_strip_below_the_image() -> None:
    predictions = [{"name": "dog", "probability": 1.0}, {"name": "cat " * 50, "probability": 0.0}]
    drawing = draw_classes(BLACK, predictions)
    assert drawing.width == 240  # wider than the image: room for names
    assert drawing.height > 100
    pixels = np.asarray(drawing).astype(int)
    assert not pixels[:100, 20:220].any()
    rows = (pixels[100:, -3:] == pixels[102, -3]).all(axis=(1, 2))
    assert 0 < rows.sum() < len(rows)  # only the first bar reaches the right edge


def test_files_of_other_programs_are_never_overwritten(tmp_path: Path) -> None:
    noise().save(tmp_path / "image.jpg")
    before = (tmp_path / "image.jpg").read_bytes()
    for _ in range(2):  # the second run overwrites the drawing of the first
        assert Annotator(tmp_path).write(BLACK, draw_boxes(BLACK, [BOX])) == tmp_path / "image-2.jpg"
    assert (tmp_path / "image.jpg").read_bytes() == before
    (tmp_path / "image-2.jpg").write_text("not an image")
    assert Annotator(tmp_path).write(BLACK, draw_classes(BLACK, [])).name == "image-3.jpg"


def test_images_of_one_name_get_files_of_their_own(tmp_path: Path) -> None:
    annotator = Annotator(tmp_path / "new")
    paths = [annotator.write(BLACK, draw_boxes(BLACK, [])) for _ in range(3)]
    assert [path.name for path in paths] == ["image.jpg", "image-2.jpg", "image-3.jpg"]
    below = InputImage("x", PurePath("a/b.c"), BLACK.encoded, 200, 100)
    assert annotator.write(below, draw_boxes(below, [])) == tmp_path / "new/a/b.c.jpg"
    with Image.open(paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (200, 100))
