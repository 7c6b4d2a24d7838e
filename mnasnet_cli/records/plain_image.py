"""The picture of an image file: what people see, as 8-bit sRGB or grayscale without transparency.

Records, `mnasnet predict` and exported models show a net this picture, by these rules, in this order:

1. The first frame of a file with several.
2. Gray of more than 8 bits becomes 8: the value is shifted right, so that white, 2^n - 1, becomes 255. In a TIFF, n is
   BitsPerSample, if this is 9..15. In a PNG it is sBIT, if this is 9..15 and no pixel is larger. Otherwise it is the
   smallest of 8, 10, 12, 14 and 16 for which no pixel is larger. If a pixel has more than 16 bits, the largest
   becomes 255. Of colours and transparent gray with 16 bits, the upper 8 count. Of floats, white is the smallest of 1,
   255 and 65535 that no pixel exceeds, or else the largest value.
3. Palettes, YCbCr and CMYK become RGB; black and white becomes gray.
4. Colours are converted from the ICC profile to sRGB; see `image_files.profiles`.
5. Transparent pixels are blended with white.
6. The EXIF orientation is applied; see `orientation`.

A JPEG is decoded with the accurate inverse DCT and smooth ("fancy") upsampling of the colours, as Pillow does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mnasnet_cli.records.image_files.header import BadImage, ImageHeader
from mnasnet_cli.records.image_files.jpeg import read_jpeg_header
from mnasnet_cli.records.image_files.kinds import JPEG_SIGNATURE, PNG_SIGNATURE
from mnasnet_cli.records.image_files.opening import SIGNIFICANT_BITS, load_image
from mnasnet_cli.records.image_files.png import read_png_header
from mnasnet_cli.records.image_files.profiles import has_foreign_profile, to_srgb
from mnasnet_cli.records.orientation import UPRIGHT, Exif, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image

_GRAY_BITS = (8, 10, 12, 14, 16)


class Picture(NamedTuple):
    """The picture of a file.

    image: in mode L or RGB. orientation: 1..8 of the stored frame, 1 if it was not turned. height, width: of the stored
    frame in px. converted: whether colours were converted from an ICC profile.
    """

    image: Image
    orientation: int
    height: int
    width: int
    converted: bool


def read_header(data: bytes) -> ImageHeader | None:
    """Return the header of a JPEG or PNG, None for another file. Raises BadImage if the file is damaged."""
    if data.startswith(JPEG_SIGNATURE):
        return read_jpeg_header(data)
    return read_png_header(data) if data.startswith(PNG_SIGNATURE) else None


def read_picture(data: bytes, *, exif: Exif = "upright", max_side: int | None = None) -> Picture:
    """Return the picture of an image file.

    Args:
        data: the bytes of the file.
        exif: "ignore" leaves rule 6 out.
        max_side: longest side in px; a larger picture is scaled down.

    Raises BadImage.
    """
    from PIL import Image

    stored = load_image(data, max_side=max_side)
    orientation = stored.orientation if exif == "upright" else UPRIGHT
    try:
        plain = to_plain(stored.image)
        scale = max_side / max(plain.size) if max_side else 1.0
        if scale < 1:
            size = (max(1, round(plain.width * scale)), max(1, round(plain.height * scale)))
            plain = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        upright = turn_upright(plain, orientation)
    except (OSError, ValueError, MemoryError):
        raise BadImage(f"an image in Pillow's mode {stored.image.mode} cannot be converted to RGB") from None
    return Picture(upright, orientation, stored.height, stored.width, has_foreign_profile(stored.image))


def to_plain(image: Image) -> Image:
    """Return a decoded frame in mode L or RGB, by the rules 2 to 5."""
    return _on_white(to_srgb(_in_8_bits(image)))


def _in_8_bits(image: Image) -> Image:
    """Return the image in mode L, LA, RGB, RGBA, CMYK or LAB, with its profile."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        plain = _gray(image)
    elif image.mode in ("LA", "La") or (image.mode in ("1", "L") and "transparency" in image.info):
        plain = image.convert("LA")
    elif image.mode in ("PA", "RGBA", "RGBa") or "transparency" in image.info:
        plain = image.convert("RGBA")
    elif image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    else:
        plain = image.convert("L" if image.mode == "1" else "RGB")
    if profile is not None:
        plain.info["icc_profile"] = profile
    return plain


def _gray(image: Image) -> Image:
    """Return gray with more than 8 bits, or floats, in mode L, or LA if the file has a transparent colour."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image))
    largest = float(values.max(initial=0))
    if image.mode == "F":
        white = next((white for white in (1.0, 255.0, 65535.0) if largest <= white), largest)
        scaled = values * (255 / white)
    else:
        told = image.info.get(SIGNIFICANT_BITS)
        bits = [told] if told and largest < 2**told else [bits for bits in _GRAY_BITS if largest < 2**bits]
        scaled = values // 2 ** (bits[0] - 8) if bits else values * (255 / largest)
    plain = Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        plain.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return plain


def _on_white(image: Image) -> Image:
    """Return an image in mode L or RGB on white, if it is transparent."""
    from PIL import Image

    if image.mode not in ("LA", "RGBA"):
        return image
    rgba = image.convert("RGBA")
    opaque = Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba)
    return opaque.convert("L" if image.mode == "LA" else "RGB")
