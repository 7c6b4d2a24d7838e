"""The EXIF orientation: how it is found, and what it does to images and boxes."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from mnasnet_cli.records.orientation import (
    exif_orientation,
    image_orientation,
    turn_upright,
    upright_boxes,
    upright_size,
)

ORIENTATIONS = range(1, 9)


def exif(value: int, *, order: str = "<", kind: int = 3, count: int = 1, entries: int = 1) -> bytes:
    """EXIF data with the orientation behind other entries."""
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    others = b"".join(struct.pack(f"{order}HHII", 0x100 + one, 3, 1, 7) for one in range(entries - 1))
    entry = struct.pack(f"{order}HHIHH", 0x0112, kind, count, value, 0)
    return b"Exif\0\0" + header + struct.pack(f"{order}H", entries) + others + entry + bytes(4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value", ORIENTATIONS)
def test_orientation_of_exif(order: str, value: int) -> None:
    assert exif_orientation(exif(value, order=order, entries=3)) == value
    assert exif_orientation(exif(value, order=order)[6:]) == value  # without the header, as in a PNG


@pytest.mark.parametrize(
    "data",
    [b"", b"Exif\0\0", b"Exif\0\0II*\0", exif(0), exif(9), exif(6, kind=1), exif(6, count=2), exif(6)[:-8],
     exif(6).replace(b"II*\0", b"XX*\0"), b"II*\0\xff\xff\xff\xff\x01\x00"],
)  # fmt: skip
def test_damaged_exif_is_upright(data: bytes) -> None:
    assert exif_orientation(data) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", ORIENTATIONS)
def test_orientation_of_files(kind: str, value: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = value
    out = io.BytesIO()
    Image.new("RGB", (8, 6)).save(out, kind, exif=tags)
    with Image.open(out) as image:
        assert image_orientation(image) == value


@pytest.mark.parametrize("value", ORIENTATIONS)
def test_images_turn_as_in_pillow(value: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(pixels)
    turned = turn_upright(image, value)
    image.getexif()[0x0112] = value
    assert np.array_equal(turned, ImageOps.exif_transpose(image))
    assert (turned.height, turned.width) == upright_size(6, 8, value)


@pytest.mark.parametrize("value", ORIENTATIONS)
def test_boxes_turn_with_the_image(value: int) -> None:
    """Each box is drawn into the stored frame and found again in the upright picture."""
    boxes = [(0.25, 0.1, 0.5, 0.3), (0.0, 0.6, 0.75, 1.0)]
    for (ymin, xmin, ymax, xmax), (top, left, bottom, right) in zip(boxes, upright_boxes(boxes, value), strict=True):
        stored = np.zeros((40, 60), np.uint8)
        stored[round(ymin * 40) : round(ymax * 40), round(xmin * 60) : round(xmax * 60)] = 255
        turned = np.asarray(turn_upright(Image.fromarray(stored), value))
        rows, columns = np.nonzero(turned)
        height, width = turned.shape
        found = (rows.min() / height, columns.min() / width, (rows.max() + 1) / height, (columns.max() + 1) / width)
        assert found == pytest.approx((top, left, bottom, right))
