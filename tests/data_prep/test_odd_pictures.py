"""A folder of odd pictures: what is stored of them, what is counted, and what is printed."""

from __future__ import annotations

import io
from pathlib import Path

import imagenet_cases
import pytest
from colour_profiles import swapped_profile
from image_files import encode, noise, with_orientation
from PIL import Image

from mnasnet_cli.records.tfrecord import decode_example, read_records

BAD = {
    "page.jpg": (b"<html>404</html>", "this is an HTML page, not an image"),
    "clip.jpg": (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "this is a video (MP4 or QuickTime), not an image"),
    "cut.jpg": (encode(noise(), "JPEG")[:900], "the JPEG is cut off: there is no end-of-image marker"),
    "cut.tif": (
        encode(noise(), "TIFF", compression="tiff_lzw")[:900],
        "the TIFF cannot be decoded; its header is damaged",
    ),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Pictures that are turned, in other colours or of other formats in class a, plain and bad ones in class b."""
    for name in ("train/a", "train/b", "val/a", "val/b"):
        (tmp_path / "source" / name).mkdir(parents=True)
        (tmp_path / "source" / name / "plain.jpg").write_bytes(encode(noise(), "JPEG"))
    train = tmp_path / "source" / "train"
    for value in range(1, 9):
        (train / "a" / f"exif{value}.jpe").write_bytes(encode(noise(), "JPEG", exif=with_orientation(value)))
    (train / "a" / "profile.jfif").write_bytes(encode(noise(), "JPEG", icc_profile=swapped_profile()))
    (train / "a" / "picture.TIFF").write_bytes(encode(noise(), "TIFF"))
    (train / "a" / "picture.avif").write_bytes(encode(noise(), "AVIF"))
    (train / "a" / "copied.png").write_bytes(encode(noise(), "PNG"))
    for name, (data, _) in BAD.items():
        (train / "b" / name).write_bytes(data)
    return tmp_path / "source"


def test_odd_pictures(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = imagenet_cases.prepare(source, tmp_path / "out", on_bad_image="skip", train_shards=2, workers=2)
    assert (found["turned"], found["converted"], found["reencoded"]) == (7, 1, 10)
    assert {name: split["turned"] for name, split in found["splits"].items()} == {"train": 7, "validation": 0}
    assert {Path(bad["file"]).name: bad["reason"] for bad in found["bad_files"]} == {
        name: reason for name, (_, reason) in BAD.items()
    }
    assert capfd.readouterr() == ("", "")  # also of the workers


def test_records_say_the_format_of_their_images(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    imagenet_cases.prepare(source, out, on_bad_image="skip", train_shards=1)
    formats = set()
    for record in read_records(out / "train-00000-of-00001"):
        example = decode_example(record)
        with Image.open(io.BytesIO(example["image/encoded"][0])) as image:
            assert image.format == example["image/format"][0].decode()
            assert image.size == (example["image/width"][0], example["image/height"][0])
            formats.add(image.format)
    assert formats == {"JPEG", "PNG"}


def test_pictures_stay_as_stored(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = imagenet_cases.prepare(source, out, on_bad_image="skip", train_shards=1, exif="ignore")
    assert found["turned"] == 0
    sizes = {
        (*example["image/width"], *example["image/height"])
        for example in map(decode_example, read_records(out / "train-00000-of-00001"))
    }
    assert sizes == {(90, 60)}
