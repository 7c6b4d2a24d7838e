"""Colours are converted from an ICC profile to sRGB if they differ."""

from __future__ import annotations

import numpy as np
import pytest
from colour_profiles import gray_profile, srgb_profile, swapped_profile
from PIL import Image, ImageCms

from mnasnet_cli.records.image_files.profiles import has_foreign_profile, is_foreign, to_srgb


def tagged(image: Image.Image, profile: bytes) -> Image.Image:
    image.info["icc_profile"] = profile
    return image


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("profile", [srgb_profile(), b"", b"damaged" * 30, None])
def test_profiles_that_change_nothing(mode: str, profile: bytes | None) -> None:
    assert not is_foreign(profile, mode)


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (200, 20, 90)), ("RGBA", (200, 20, 90, 77))])
def test_colours_are_converted_and_alpha_stays(mode: str, colour: tuple[int, ...]) -> None:
    image = tagged(Image.new(mode, (1, 1), colour), swapped_profile())
    assert has_foreign_profile(image)
    assert to_srgb(image).getpixel((0, 0)) == pytest.approx((20, 200, *colour[2:]), abs=2)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_gray_profiles(mode: str) -> None:
    """Linear gray is brighter in sRGB: 0.5 is 188 of 255."""
    colour = (128, 77) if mode == "LA" else 128
    image = tagged(Image.new(mode, (1, 1), colour), gray_profile(1.0))
    converted = to_srgb(image)
    assert converted.mode == mode
    assert np.atleast_1d(converted.getpixel((0, 0))).tolist() == pytest.approx([188, 77][: len(mode)], abs=2)
    assert not is_foreign(gray_profile(1.0), "RGB")  # it does not fit
    assert not is_foreign(swapped_profile(), "L")


def test_lab_becomes_rgb() -> None:
    lab = Image.new("LAB", (1, 1), (255, 128, 128))
    assert to_srgb(lab).getpixel((0, 0)) == pytest.approx((255, 255, 255), abs=2)


def test_cmyk_without_profile() -> None:
    assert to_srgb(Image.new("CMYK", (1, 1), (0, 255, 255, 0))).getpixel((0, 0)) == (255, 0, 0)


def test_a_profile_with_another_description_is_still_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"s\0R\0G\0B", b"x\0Y\0Z\0 ")
    assert not is_foreign(profile, "RGB")
