"""Blank images are found, and images with little content are not taken for blank."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mnasnet_cli.health.blank import is_blank


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("side", [8, 32, 224, 1500])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 75}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 90, "progressive": True}),
        ("JPEG", {"quality": 75, "optimize": True}),
        ("JPEG", {"quality": 75, "restart_marker_blocks": 5}),
        ("PNG", {"compress_level": 1}),
        ("PNG", {}),
    ],
)
def test_blank_images(mode: str, side: int, kind: str, options: dict[str, object]) -> None:
    data = encoded(Image.new(mode, (side, side), 200), kind, **options)
    assert is_blank(data, side, side)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("side", [8, 32, 224, 1500])
def test_images_with_little_content(kind: str, side: int) -> None:
    image = Image.new("RGB", (side, side), "skyblue")
    image.paste("red", (side // 2, side // 2, side // 2 + 8, side // 2 + 8))
    assert not is_blank(encoded(image, kind), side, side)
    assert not is_blank(encoded(noise(side), kind), side, side)


def test_other_bytes() -> None:
    assert not is_blank(b"", 10, 10)
    assert not is_blank(b"no image", 1000, 1000)
