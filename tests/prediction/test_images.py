"""Inputs of all kinds, and the pixels that a net gets of them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
import pytest
from colour_profiles import swapped_profile
from image_files import encode, noise, pixels_of, with_orientation
from PIL import Image, features

from data_prep.images.prepared_image import prepare_image
from mnasnet_cli.prediction.images import InputImage, UnreadableInput, read_image, read_images
from mnasnet_cli.records.image_files import opening, png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, and a third in a subfolder."""
    (tmp_path / "images" / "below").mkdir(parents=True)
    noise().save(tmp_path / "images" / "a.jpg")
    noise().save(tmp_path / "images" / "b.PNG")
    noise(30, 20).save(tmp_path / "images" / "below" / "a.jpg")
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    return tmp_path / "images"


def names(*inputs: object, stdin: bytes = b"") -> list[str]:
    """The names of the images, and the reasons of unreadable inputs in brackets."""
    found = read_images(list(map(str, inputs)), stdin=io.BytesIO(stdin))
    return [one.name if isinstance(one, InputImage) else f"({one.reason})" for one in found]


def test_a_folder_is_searched_recursively_in_order(folder: Path) -> None:
    found = [one for one in read_images([str(folder)]) if isinstance(one, InputImage)]
    assert [one.name for one in found] == [str(folder / name) for name in ("a.jpg", "b.PNG", "below/a.jpg")]
    assert [one.output_path.as_posix() for one in found] == ["a", "b", "below/a"]
    assert [(one.width, one.height) for one in found] == [(90, 60), (90, 60), (30, 20)]


def test_files_and_patterns(folder: Path) -> None:
    assert names(folder / "b.PNG", folder / "a.jpg") == [str(folder / "b.PNG"), str(folder / "a.jpg")]
    assert names(folder / "**/*.jpg") == [str(folder / "a.jpg"), str(folder / "below/a.jpg")]
    assert names(folder / "?.jpg") == [str(folder / "a.jpg")]
    (folder / "a.jpg").rename(folder / "a[1].jpg")  # a path, although it looks like a pattern
    assert names(folder / "a[1].jpg") == [str(folder / "a[1].jpg")]
    below = (folder / "below").rename(folder / "below [2]*")
    assert names(below / "*.jpg") == [str(below / "a.jpg")]


def test_inputs_that_cannot_be_read_have_a_reason(folder: Path) -> None:
    (folder / "empty.png").touch()
    (folder / "cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:900])
    (folder / "nothing").mkdir()
    inputs = [folder / name for name in ("notes.txt", "empty.png", "cut.jpg", "nothing", "x*.jpg", "none.jpg")]
    found = list(read_images(list(map(str, inputs))))
    assert all(isinstance(one, UnreadableInput) for one in found)
    assert [one.name for one in found] == list(map(str, inputs))
    reasons = [one.reason for one in found if isinstance(one, UnreadableInput)]
    assert len(set(reasons)) == len(reasons)
    for reason, word in zip(reasons, ("text", "empty", "cut off", "folder", "pattern", "no such"), strict=True):
        assert word in reason


def test_an_unreadable_file_does_not_stop_the_others(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(b"\xff\xd8 damaged")
    found = names(folder)
    assert len(found) == 3
    assert found[1:] == [str(folder / "b.PNG"), str(folder / "below/a.jpg")]


def test_standard_input_with_an_image(folder: Path) -> None:
    data = (folder / "a.jpg").read_bytes()
    [image] = read_images(["-"], stdin=io.BytesIO(data))
    assert isinstance(image, InputImage)
    assert (image.name, image.output_path, image.encoded) == ("standard input", PurePath("stdin"), data)


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
def test_standard_input_with_a_list_of_paths(folder: Path, separator: str) -> None:
    listed = separator.join([str(folder / "a.jpg"), str(folder / "*.PNG"), str(folder / "none.jpg"), ""])
    found = names("-", stdin=listed.encode())
    assert found[:2] == [str(folder / "a.jpg"), str(folder / "b.PNG")]
    assert found[2].startswith("(no such")
    assert len(found) == 3


@pytest.mark.parametrize("name", ["BMW.jpg", "RIFFle.jpg", "GIF8.jpg", "II*.jpg", "größer.jpg"])
def test_a_list_may_start_like_an_image(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "a.jpg").rename(name)
    assert names("-", stdin=f"{name}\nb.PNG\n".encode()) == [name, "b.PNG"]


@pytest.mark.parametrize(("data", "word"), [(b"", "empty"), (b"\n\n", "empty"), (b"\x00\xff\xfe", "UTF-8")])
def test_standard_input_with_neither(data: bytes, word: str) -> None:
    [reason] = names("-", stdin=data)
    assert word in reason


def test_standard_input_with_a_truncated_image(folder: Path) -> None:
    [reason] = names("-", stdin=(folder / "a.jpg").read_bytes()[:900])
    assert "cut off" in reason


@pytest.mark.parametrize("file_format", ["AVIF", "GIF", "BMP", "WEBP", "PCX", "TIFF"])
def test_standard_input_accepts_other_formats(file_format: str) -> None:
    if file_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    [image] = read_images(["-"], stdin=io.BytesIO(encode(Image.new("RGB", (1, 1)), file_format)))
    assert isinstance(image, InputImage), image


@pytest.mark.parametrize(
    ("file_format", "mode"), [("GIF", "P"), ("BMP", "RGB"), ("TIFF", "CMYK"), ("JPEG", "CMYK"), ("PNG", "RGBA")]
)
def test_every_format_becomes_one_that_tensorflow_decodes(file_format: str, mode: str) -> None:
    data = encode(Image.new("RGB", (8, 6), (204, 0, 51)).convert(mode), file_format)
    pixels = pixels_of(read_image("x", PurePath("x"), data))
    assert pixels.shape == (6, 8, 3)
    assert np.abs(pixels.astype(int) - [204, 0, 51]).max() < 12


def test_an_animation_is_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.unique(pixels_of(read_image("x", PurePath("x"), data)).reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    """Red is in the corner that Pillow's own transposition puts it in."""
    stored = Image.new("RGB", (8, 6), "white")
    stored.paste("red", (0, 0, 4, 3))
    found = read_image("x", PurePath("x"), encode(stored, "PNG", exif=with_orientation(orientation)))
    assert isinstance(found, InputImage)
    assert (found.width, found.height) == ((8, 6) if orientation < 5 else (6, 8))
    corners = pixels_of(found)[[0, 0, -1, -1], [0, -1, 0, -1], 1].tolist()  # green: 0 in the red corner
    red_corner = {1: 0, 2: 1, 3: 3, 4: 2, 5: 0, 6: 1, 7: 3, 8: 2}[orientation]
    assert corners.index(0) == red_corner
    assert corners.count(255) == 3


GRAY = np.arange(0, 240, 5, np.uint8).reshape(6, 8)  # without white
GRAY_16_BIT = GRAY * np.uint16(256) + GRAY


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_gray_becomes_8_bit(file_format: str, orientation: int) -> None:
    exif = with_orientation(orientation)
    wide, narrow = (
        pixels_of(read_image("x", PurePath("x"), encode(Image.fromarray(gray), file_format, exif=exif)))
        for gray in (GRAY_16_BIT, GRAY)
    )
    assert np.array_equal(wide, narrow)
    assert len(np.unique(wide)) == GRAY.size


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparency_becomes_white_as_in_records(mode: str) -> None:
    """The transparent pixels are stored as black, which TensorFlow's decoder would show."""
    logo = Image.new("RGBA", (8, 6), (0, 0, 0, 0))
    logo.paste((200, 200, 200, 255), (0, 0, 4, 6))
    options = {"transparency": (0, 0, 0)} if mode == "RGB" else {}
    data = encode(logo.convert(mode) if mode != "P" else logo.quantize(), "PNG", **options)
    pixels = pixels_of(read_image("x", PurePath("x"), data))
    assert np.unique(pixels[:, :4]).tolist() == [200]
    assert np.unique(pixels[:, 4:]).tolist() == [255]
    record = Image.open(io.BytesIO(prepare_image(data).data)).convert("RGB")
    assert np.abs(np.asarray(record).astype(int) - pixels).max() < 12


@pytest.mark.parametrize(
    ("file_format", "mode"), [("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "L")]
)
def test_upright_jpeg_and_png_keep_their_bytes(file_format: str, mode: str) -> None:
    data = encode(Image.fromarray(GRAY).convert(mode), file_format)
    image = read_image("x", PurePath("x"), data)
    assert isinstance(image, InputImage)
    assert image.encoded == data


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(noise(), "PNG")
    monkeypatch.setattr(opening, "MAX_PIXELS", 100)
    monkeypatch.setattr(png, "MAX_PIXELS", 100)
    found = read_image("x", PurePath("x"), data)
    assert isinstance(found, UnreadableInput)
    assert found.reason.startswith("it has 90×60 px, but TensorFlow decodes at most")


def odd_files() -> dict[str, bytes]:
    photograph, gray = noise(), Image.fromarray(GRAY)
    files = {f"EXIF {value}": encode(photograph, "JPEG", exif=with_orientation(value)) for value in range(1, 9)}
    files |= {f"{kind}": encode(photograph, kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")}
    files |= {
        "palette": encode(photograph.quantize(16), "PNG"),
        "two colours": encode(gray.convert("1"), "PNG"),
        "transparent": encode(Image.merge("RGBA", (*photograph.split(), photograph.getchannel(0))), "PNG"),
        "transparent gray": encode(Image.merge("LA", (gray, gray)), "PNG"),
        "transparent colour": encode(photograph, "PNG", transparency=photograph.getpixel((0, 0))),
        "CMYK": encode(photograph.convert("CMYK"), "JPEG"),
        "16 bits": encode(Image.fromarray(GRAY_16_BIT), "PNG"),
        "12 bits": encode(Image.fromarray(GRAY_16_BIT >> 4), "PNG"),
        "profile": encode(photograph, "JPEG", icc_profile=swapped_profile()),
        "progressive": encode(photograph, "JPEG", progressive=True),
    }
    return files


@pytest.mark.parametrize(("data"), odd_files().values(), ids=odd_files())
def test_records_hold_the_pixels_that_are_predicted(data: bytes) -> None:
    found = read_image("x", PurePath("x"), data)
    record = prepare_image(data)
    assert isinstance(found, InputImage)
    assert (found.width, found.height) == (record.width, record.height)
    assert np.array_equal(pixels_of(found), pixels_of(replace(found, encoded=record.data)))


@pytest.mark.parametrize("suffix", [".JFIF", ".jpe", ".tif", ".tiff", ".avif", ".heic", ".HEIF"])
def test_a_folder_is_searched_for_all_kinds_of_images(tmp_path: Path, suffix: str) -> None:
    noise().save(tmp_path / f"a{suffix}", "JPEG")  # the content decides
    assert names(tmp_path) == [str(tmp_path / f"a{suffix}")]


def test_damage_within_a_jpeg_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    data = encode(noise(300, 200), "JPEG")
    found = read_image("x", PurePath("x"), data[: len(data) // 2] + b"\xff\xd9")
    assert isinstance(found, InputImage)
    assert found.damage == "the JPEG is damaged: premature end of data segment"
    assert pixels_of(found).shape == (200, 300, 3)
    assert "Corrupt" not in capfd.readouterr().err
    sound = read_image("x", PurePath("x"), data)
    assert isinstance(sound, InputImage)
    assert (sound.damage, sound.encoded) == ("", data)
