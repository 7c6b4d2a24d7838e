"""Boxes are read in the frame that the sizes in the annotation file describe; the records hold upright pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from coco_cases import examples
from drawn_layouts import save
from mended_cases import prepare_train
from PIL import Image

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.orientation import turn_upright

RED = (4, 6, 10, 7)  # x, y, width, height in px of a red box in the upright picture


def upright_picture(width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (width, height), (20, 30, 200))
    x, y, wide, high = RED
    picture.paste((250, 10, 10), (x, y, x + wide, y + high))
    return picture


def stored_frame(picture: Image.Image, orientation: int) -> Image.Image:
    """Return the frame that is upright once it is turned by an orientation."""
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    return turn_upright(picture, inverse)


def red_box(picture: Image.Image) -> tuple[int, int, int, int]:
    values = np.asarray(picture.convert("RGB"), np.int32)
    rows, columns = np.nonzero((values[..., 0] > 130) & (values[..., 2] < 130))
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top


def write(root: Path, size: tuple[int, int], orientation: int, *, frame: str, has_size: bool = True) -> Path:
    """Write a source of one photograph whose annotations are in a frame: "upright" or "stored"."""
    picture = upright_picture(*size)
    stored = stored_frame(picture, orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    stored.save(out, "JPEG", quality=98, subsampling=0, exif=exif)
    (root / "images").mkdir(parents=True)
    (root / "images" / "a.jpg").write_bytes(out.getvalue())
    shown = picture if frame == "upright" else stored
    image = {"id": 1, "file_name": "a.jpg"} | ({"width": shown.width, "height": shown.height} if has_size else {})
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": list(red_box(shown))}
    content = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "red"}]}
    save(root / "labels.json", content)
    return root


def check(out: Path) -> Image.Image:
    """Check that the box of the record is around the red pixels, and return the picture."""
    row = examples(out)[1]
    pixels = tf.io.decode_image(row["image/encoded"][0], expand_animations=False).numpy()
    picture = Image.fromarray(pixels)
    assert (row["image/height"], row["image/width"]) == ([picture.height], [picture.width])
    sides = [row[f"image/object/bbox/{side}"][0] for side in ("xmin", "ymin", "xmax", "ymax")]
    left, top, right, bottom = (side * scale for side, scale in zip(sides, picture.size * 2, strict=True))
    assert (left, top, right - left, bottom - top) == pytest.approx(red_box(picture), abs=0.01)
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("frame", ["upright", "stored"])
def test_the_size_tells_the_frame(tmp_path: Path, orientation: int, frame: str) -> None:
    if frame == "stored" and orientation < 5:
        pytest.skip("both frames have one size: they are read as upright")
    source = write(tmp_path / "set", (40, 24), orientation, frame=frame)
    prepare_train(source, tmp_path / "out")
    assert red_box(check(tmp_path / "out")) == RED


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("has_size", [True, False])
def test_where_the_size_does_not_tell_boxes_are_upright(tmp_path: Path, orientation: int, has_size: bool) -> None:
    size = (32, 32) if has_size else (40, 24)
    source = write(tmp_path / "set", size, orientation, frame="upright", has_size=has_size)
    prepare_train(source, tmp_path / "out")
    assert red_box(check(tmp_path / "out")) == RED


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("has_size", [True, False])
def test_without_exif_boxes_are_in_the_stored_frame(tmp_path: Path, orientation: int, has_size: bool) -> None:
    source = write(tmp_path / "set", (40, 24), orientation, frame="stored", has_size=has_size)
    prepare_train(source, tmp_path / "out", exif="ignore")
    picture = check(tmp_path / "out")
    assert picture.size == ((40, 24) if orientation < 5 else (24, 40))


def test_sizes_that_fit_neither_frame(tmp_path: Path) -> None:
    source = write(tmp_path / "turned", (40, 24), 6, frame="upright")
    with pytest.raises(DataError, match=r"has 24×40 px, but .* says 40×24 px.*EXIF"):
        prepare_train(source, tmp_path / "out", exif="ignore")
    source = write(tmp_path / "scaled", (40, 24), 1, frame="upright")
    text = (source / "labels.json").read_text()
    (source / "labels.json").write_text(text.replace('"width": 40, "height": 24', '"width": 80, "height": 48'))
    with pytest.raises(DataError, match=r"do not fit; perhaps the boxes are of the same image at 2 times the size"):
        prepare_train(source, tmp_path / "out")
