"""One photograph-like picture in many files: orientations, encodings, depths, colours and transparency."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # what a camera does to the upright picture before it stores it with this EXIF orientation
ORIENTATION = 0x0112


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with smooth areas, edges and fine texture."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 255, (height // 3 + 1, width // 3 + 1, 3), dtype=np.uint8))
    return Image.blend(coarse, fine.resize((width, height), Image.NEAREST), 0.35)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def turned(image: Image.Image, orientation: int) -> bytes:
    """A JPEG of the picture as a camera stores it."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turn = TURNS[orientation]
    stored = image if turn is None else image.transpose(turn)
    return encoded(stored, "JPEG", quality=92, exif=exif)


def files(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content) of every kind."""
    for orientation in TURNS:
        yield f"turned-{orientation}.jpg", turned(image, orientation)
    jpeg = encoded(image, "JPEG", quality=85)
    yield "photo.jpg", jpeg
    yield "same-pixels.png", encoded(Image.open(io.BytesIO(jpeg)), "PNG", compress_level=1)
    alpha = Image.linear_gradient("L").resize(image.size)
    transparent = image.copy()
    transparent.putalpha(alpha)
    yield "transparent.png", encoded(transparent, "PNG", compress_level=1)
    gray = image.convert("L")
    gray_alpha = gray.copy()
    gray_alpha.putalpha(alpha)
    yield "transparent-gray.png", encoded(gray_alpha, "PNG", compress_level=1)
    yield "cmyk.jpg", encoded(image.convert("CMYK"), "JPEG", quality=90)
    deep = np.asarray(gray, np.uint16) * 257
    yield "16-bit.png", encoded(Image.fromarray(deep), "PNG", compress_level=1)
    yield "12-bit-in-16.png", encoded(Image.fromarray(deep >> 4), "PNG", compress_level=1)


def upright_pixels(name: str, image: Image.Image, content: bytes) -> np.ndarray:
    """What a person sees in the file: uint8 [H, W, 3], from the file's own pixels."""
    opened = Image.open(io.BytesIO(content))
    turn = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90}  # fmt: skip
    if name.startswith("turned"):
        orientation = int(name[7])
        back = turn.get(orientation, TURNS[orientation])
        return np.asarray(opened if back is None else opened.transpose(back))
    if name == "16-bit.png":
        return np.repeat((np.asarray(opened) >> 8).astype(np.uint8)[..., np.newaxis], 3, 2)
    if name == "12-bit-in-16.png":
        return np.repeat((np.asarray(opened) >> 4).astype(np.uint8)[..., np.newaxis], 3, 2)
    if "A" in opened.mode:
        rgba = opened.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    return np.asarray(opened.convert("RGB"))
