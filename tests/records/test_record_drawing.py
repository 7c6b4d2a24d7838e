"""Examples are drawn side by side, with labels or boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from record_cases import coco_record, foreign_imagenet_record, jpeg, write

from mnasnet_cli.errors import DataError
from mnasnet_cli.pages.sheets import GAP
from mnasnet_cli.records import keys
from mnasnet_cli.records.drawing import BOX_TILE_SIZE, LABEL_TILE_SIZE, draw_examples
from mnasnet_cli.records.tfrecord import encode_example


def labelled(colour: str, width: int = 40, height: int = 20) -> bytes:
    return encode_example({keys.ENCODED: jpeg(width, height, colour), keys.LABEL: 1})


def draw(path: Path, count: int = 9) -> np.ndarray:
    """Return the drawn image as [height, width, 3]."""
    out = path.with_suffix(".png")
    draw_examples(path, count, out)
    with Image.open(out) as image:
        return np.asarray(image.convert("RGB"), int)


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (9, 3, 3)]
)
def test_tiles_are_in_rows(tmp_path: Path, count: int, columns: int, rows: int) -> None:
    path = write(tmp_path / "some.tfrecord", *[labelled("red")] * 9)
    sheet = draw(path, count)
    red = (sheet[..., 0] > 200) & (sheet[..., 1:].max(-1) < 60)
    assert (np.diff(red.any(0).astype(int)) == 1).sum() == columns
    assert (np.diff(red.any(1).astype(int)) == 1).sum() == rows
    assert draw_examples(path, count, tmp_path / "x.png") == count


def test_fewer_examples_than_requested(tmp_path: Path) -> None:
    path = write(tmp_path / "some.tfrecord", labelled("red"), labelled("blue"))
    assert draw_examples(path, 100, tmp_path / "x.png") == 2


@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40), (1000, 500), (2000, 10)])
def test_images_are_scaled_to_the_tile(tmp_path: Path, width: int, height: int) -> None:
    sheet = draw(write(tmp_path / "some.tfrecord", labelled("blue", width, height)))
    blue = (sheet[..., 2] > 200) & (sheet[..., 0] < 60)
    assert abs(blue.any(0).sum() - min(1, width / height) * LABEL_TILE_SIZE) <= 2
    assert abs(blue.any(1).sum() - min(1, height / width) * LABEL_TILE_SIZE) <= 2
    caption = sheet[GAP + blue.any(1).sum() + 2 :, :LABEL_TILE_SIZE]
    assert caption.min() < 100  # black text


def boxes(crowd: bool) -> bytes:
    box = (0.25, 0.25, 0.75, 0.75)
    return coco_record(jpeg(40, 40, "blue"), boxes_yxyx=[box], classes=[1], texts=["cat"], is_crowd=[crowd], area=[1.0])


def test_boxes_are_outlined(tmp_path: Path) -> None:
    sheet = draw(write(tmp_path / "some.tfrecord", boxes(crowd=False)))
    tile = sheet[GAP : GAP + BOX_TILE_SIZE, GAP : GAP + BOX_TILE_SIZE]
    light = tile[..., :2].max(-1) > 100  # neither red nor green in the image itself
    start, end = BOX_TILE_SIZE // 4, BOX_TILE_SIZE * 3 // 4
    assert light[start:end, start].all()
    assert light[end - 1, start:end].all()
    assert not light[end - 20 : end - 10, start + 10 : end - 10].any()
    assert not light[: start - 20].any()  # the name is above the box
    assert not light[end:].any()


def test_crowds_have_dashed_outlines(tmp_path: Path) -> None:
    sheet = draw(write(tmp_path / "some.tfrecord", boxes(crowd=True)))
    end = GAP + BOX_TILE_SIZE * 3 // 4
    light = sheet[end - 1, GAP + BOX_TILE_SIZE // 4 : end, :2].max(-1) > 100
    assert 0.3 < light.mean() < 0.8


def test_an_image_that_cannot_be_decoded_is_named_in_its_tile(tmp_path: Path) -> None:
    sheet = draw(write(tmp_path / "some.tfrecord", foreign_imagenet_record(1), coco_record(b"not an image")))
    red = (sheet[..., 0] > 200) & (sheet[..., 1:].max(-1) < 60)
    assert red.any()


def test_names_come_from_labels_txt(tmp_path: Path) -> None:
    path = write(tmp_path / "train-00000-of-00001", labelled("red"))
    draw_examples(tmp_path, 1, tmp_path / "number.png")
    (tmp_path / "labels.txt").write_text("n1\tapple\n")
    draw_examples(path, 1, tmp_path / "name.png")
    assert (tmp_path / "number.png").read_bytes() != (tmp_path / "name.png").read_bytes()


def test_nothing_to_draw(tmp_path: Path) -> None:
    path = write(tmp_path / "some.tfrecord")
    with pytest.raises(DataError, match=r"some\.tfrecord contains no examples"):
        draw_examples(path, 4, tmp_path / "x.png")
    write(path, labelled("red"))
    with pytest.raises(DataError, match=rf"cannot write {tmp_path / 'x.unknown'}"):
        draw_examples(path, 4, tmp_path / "x.unknown")
    assert draw_examples(path, 4, tmp_path / "new" / "x.png") == 1
