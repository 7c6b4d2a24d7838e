"""Converts images with an ICC profile to sRGB, which nets are trained on and TensorFlow takes all images for."""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

TOLERANCE = 2  # of 255: a profile that changes no colour by more is taken for sRGB
_PROFILES_KEPT = 64  # the profiles of a data set are few


def is_foreign(profile: bytes | None, mode: str) -> bool:
    """Tell whether a profile changes the colours of an image in Pillow's mode. A damaged one does not."""
    return bool(profile) and _transform(profile, _colours(mode)) is not None


def has_foreign_profile(image: Image) -> bool:
    """Tell whether the profile of an image changes its colours."""
    return is_foreign(image.info.get("icc_profile"), image.mode)


def to_srgb(image: Image) -> Image:
    """Convert an image in mode L, LA, RGB, RGBA, CMYK or LAB by its profile; without one, CMYK as Pillow does.

    The alpha channel stays. A profile that is damaged, or does not fit the mode, is ignored. Colours are converted
    relative to white, with black point compensation.
    """
    profile = image.info.get("icc_profile") or None
    transform = _transform(profile, _colours(image.mode)) if profile or image.mode == "LAB" else None
    if transform is None:
        return image.convert("RGB") if image.mode in ("CMYK", "LAB") else image
    if image.mode not in ("LA", "RGBA"):
        return _apply(image, transform)
    converted = _apply(image.convert(_colours(image.mode)), transform)
    converted.putalpha(image.getchannel("A"))
    return converted


def _colours(mode: str) -> str:
    """Return the mode of the colours that a profile describes: L, CMYK, LAB or RGB."""
    if mode in ("CMYK", "LAB"):
        return mode
    return "L" if mode[0] in "1LIF" else "RGB"


def _apply(image: Image, transform: Any) -> Image:
    from PIL import ImageCms

    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is None in place only
    return converted.convert("L") if image.mode == "L" else converted


@lru_cache(maxsize=_PROFILES_KEPT)
def _transform(profile: bytes | None, mode: str) -> Any | None:
    """Return Pillow's transform from a profile to sRGB, None if it is damaged or changes nothing."""
    from PIL import Image, ImageCms

    try:
        source: Any = ImageCms.createProfile("LAB") if profile is None else ImageCms.getOpenProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode not in ("L", "RGB"):
        return transform
    samples = Image.new(mode, (6**3, 1))
    colours = list(product(range(0, 256, 51), repeat=3))
    samples.putdata([red for red, _, _ in colours] if mode == "L" else colours)
    before, after = samples.convert("RGB").tobytes(), _apply(samples, transform).convert("RGB").tobytes()
    worst = max(abs(one - other) for one, other in zip(before, after, strict=True))
    return transform if worst > TOLERANCE else None
