"""`mnasnet predict` on a run of the tiny net and on a detector that no one trained."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path, PurePath

import numpy as np
import pytest
from made_models import CATEGORIES, detector_config, make_checkpoint
from PIL import Image, features

from data_prep.jpeg import prepare_image
from mnasnet_cli.prediction import images, video
from mnasnet_cli.prediction.drawing import Annotator
from mnasnet_cli.prediction.images import BadPicture, Picture, read_picture, read_pictures

pytestmark = pytest.mark.usefixtures("tiny_net")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, one of them in a folder below and turned by EXIF, and one that was cut short."""
    random = np.random.default_rng(0)
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    picture = Image.fromarray(random.integers(0, 255, (60, 90, 3), np.uint8))
    picture.save(folder / "a.jpg")
    picture.save(folder / "b.png")
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6  # a quarter turn
    picture.save(folder / "below" / "a.jpg", exif=exif)
    (folder / "cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:900])
    return folder


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    make_checkpoint(tmp_path / "detector", detector_config(), list(map(str, CATEGORIES)), list(CATEGORIES.values()))
    return tmp_path / "detector"


def test_a_folder_is_classified_drawn_and_its_bad_file_named(mnasnet, trained_run, photos, tmp_path):
    outcome = mnasnet(
        "predict", trained_run, photos, "--json", "--top=2", f"--out={tmp_path / 'out'}", "--batch-size=2"
    )
    assert outcome.code == 2, outcome.err
    assert outcome.err.splitlines()[-1].startswith(f"error: 1 input could not be read ({photos / 'cut.jpg'}: ")
    report = outcome.json
    assert (report["kind"], report["format"], report["image_size"]) == ("classifier", "checkpoint", 32)
    assert [Path(row["file"]).relative_to(photos).as_posix() for row in report["images"]] == [
        "a.jpg", "b.png", "below/a.jpg",
    ]  # fmt: skip
    assert [(row["width"], row["height"]) for row in report["images"]] == [(90, 60), (90, 60), (60, 90)]
    for row in report["images"]:
        first, second = row["predictions"]
        assert 1 >= first["probability"] >= second["probability"] > 0
        assert first["class"].startswith("n9000000")
        assert Image.open(row["drawn"]).height > row["height"]  # the strip
    assert [failed["file"] for failed in report["failed"]] == [str(photos / "cut.jpg")]
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg")} == {
        "a.jpg", "b.jpg", "below/a.jpg",
    }  # fmt: skip


def test_a_drawing_takes_no_other_files_place(mnasnet, trained_run, photos, monkeypatch):
    monkeypatch.chdir(photos)
    before = (photos / "a.jpg").read_bytes()
    for _ in range(2):  # the second time, the drawing of the first is replaced
        outcome = mnasnet("predict", trained_run, "a.jpg", "--out=.", "--json")
        assert outcome.code == 0, outcome.err
        assert [row["drawn"] for row in outcome.json["images"]] == ["a-2.jpg"]
    assert (photos / "a.jpg").read_bytes() == before
    assert not (photos / "a-3.jpg").exists()


def test_the_formats_say_the_same(mnasnet, trained_run, photos):
    names = [photos / "a.jpg", photos / "b.png"]
    whole = mnasnet("predict", trained_run, *names, "--json").json["images"]
    lines = mnasnet("predict", trained_run, *names, "--format=jsonl")
    assert [json.loads(line) for line in lines.out.splitlines()] == whole
    rows = list(csv.DictReader(io.StringIO(mnasnet("predict", trained_run, *names, "--format=csv").out)))
    assert [(row["file"], int(row["rank"]), row["class"]) for row in rows] == [
        (row["file"], rank, item["class"]) for row in whole for rank, item in enumerate(row["predictions"], 1)
    ]
    table = mnasnet("predict", trained_run, *names)
    assert table.code == 0
    assert "probability" in table.out
    assert f"{whole[0]['predictions'][0]['probability']:.1%}" in table.out
    both = mnasnet("predict", trained_run, *names, "--json", "--format=csv")
    assert (both.code, both.out) == (2, "")


def test_a_detector_gives_boxes_inside_of_the_picture(mnasnet, detector, photos, tmp_path):
    command = ["predict", detector, photos / "a.jpg", "--json"]
    outcome = mnasnet(*command, "--score-threshold=0.2", f"--out={tmp_path / 'out'}")
    assert outcome.code == 0, outcome.err
    [row] = outcome.json["images"]
    assert row["boxes"]
    for box in row["boxes"]:
        assert box["name"] == CATEGORIES[box["class"]]
        assert box["score"] >= 0.2
        assert 0 <= box["xmin"] <= box["xmax"] <= 90
        assert 0 <= box["ymin"] <= box["ymax"] <= 60
    scores = [box["score"] for box in row["boxes"]]
    assert scores == sorted(scores, reverse=True)
    assert Image.open(row["drawn"]).size == (90, 60)
    [none] = mnasnet(*command, "--score-threshold=1").json["images"]
    assert none["boxes"] == []


def test_standard_input_is_a_picture_or_a_list_of_paths(photos):
    data = (photos / "a.jpg").read_bytes()
    [picture] = read_pictures(["-"], stdin=io.BytesIO(data))
    assert isinstance(picture, Picture)
    assert (picture.name, picture.encoded) == ("standard input", data)
    for divider in ("\n", "\0"):
        listed = divider.join([str(photos / "a.jpg"), str(photos / "*.png"), str(photos / "none.jpg"), ""])
        found = list(read_pictures(["-"], stdin=io.BytesIO(listed.encode())))
        assert [type(one) for one in found] == [Picture, Picture, BadPicture]
    bad_ones = ((b"", "empty"), (b"\x00\xff\xfe", "neither a picture nor a list"), (data[:900], "truncated"))
    for nothing, words in bad_ones:
        [bad] = read_pictures(["-"], stdin=io.BytesIO(nothing))
        assert isinstance(bad, BadPicture)
        assert words in bad.reason


@pytest.mark.parametrize("name", ["BMW.jpg", "RIFFle.jpg", "GIF8.jpg", "II*.jpg", "größer.jpg"])
def test_a_list_may_begin_like_a_picture(photos, name, monkeypatch):
    monkeypatch.chdir(photos)
    (photos / "a.jpg").rename(name)
    found = list(read_pictures(["-"], stdin=io.BytesIO(f"{name}\nb.png\n".encode())))
    assert [picture.name for picture in found] == [name, "b.png"]
    assert all(isinstance(picture, Picture) for picture in found)


@pytest.mark.parametrize("form", ["AVIF", "GIF", "BMP", "WEBP", "PCX", "TIFF"])
def test_standard_input_takes_the_kinds_that_files_have(form):
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    [picture] = read_pictures(["-"], stdin=io.BytesIO(encode(Image.new("RGB", (1, 1)), form)))
    assert isinstance(picture, Picture), picture


def test_what_cannot_be_read_says_why(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    given = [tmp_path / "text.jpg", tmp_path / "empty.png", tmp_path / "folder", tmp_path / "x*.jpg", tmp_path / "none"]
    reasons = [bad.reason for bad in read_pictures(list(map(str, given))) if isinstance(bad, BadPicture)]
    assert reasons == [
        "not a picture", "empty file", "a folder without pictures", "nothing matches this pattern",
        "no such file or folder",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "mode"), [("GIF", "P"), ("BMP", "RGB"), ("TIFF", "CMYK"), ("JPEG", "CMYK"), ("PNG", "RGBA")]
)
def test_any_kind_of_picture_becomes_one_that_tensorflow_reads(form, mode):
    import tensorflow as tf

    picture = read_picture("x", PurePath("x"), encode(Image.new("RGB", (8, 6), (204, 0, 51)).convert(mode), form))
    assert isinstance(picture, Picture)
    pixels = tf.io.decode_image(picture.encoded, channels=3).numpy()
    assert pixels.shape == (6, 8, 3)
    assert np.abs(pixels.astype(int) - [204, 0, 51]).max() < 12


GRAY = np.arange(0, 240, 5, np.uint8).reshape(6, 8)  # no pixel is white
WIDE = GRAY * np.uint16(256) + GRAY


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_gray_of_sixteen_bits_is_that_of_eight(form, orientation, tmp_path):
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    given = read_picture("x", PurePath("x"), encode(Image.fromarray(WIDE), form, exif=exif))
    plain = read_picture("y", PurePath("y"), encode(Image.fromarray(GRAY), form, exif=exif))
    assert np.array_equal(pixels_of(given), pixels_of(plain))
    assert len(np.unique(pixels_of(given))) == GRAY.size
    drawn = np.asarray(Image.open(Annotator(tmp_path).write(given, {"boxes": []})))
    assert np.abs(drawn.astype(int) - pixels_of(plain)).max() < 12


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparency_is_laid_on_white_as_in_records(mode):
    """Below what is transparent lies black, which TensorFlow's decoder would show."""
    logo = Image.new("RGBA", (8, 6), (0, 0, 0, 0))
    logo.paste((200, 200, 200, 255), (0, 0, 4, 6))
    key = {"transparency": (0, 0, 0)} if mode == "RGB" else {}
    data = encode(logo.convert(mode) if mode != "P" else logo.quantize(), "PNG", **key)
    pixels = pixels_of(read_picture("x", PurePath("x"), data))
    assert np.unique(pixels[:, :4]).tolist() == [200]
    assert np.unique(pixels[:, 4:]).tolist() == [255]
    record = Image.open(io.BytesIO(prepare_image(data).data)).convert("RGB")
    assert np.abs(np.asarray(record).astype(int) - pixels).max() < 12


@pytest.mark.parametrize(("form", "mode"), [("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "L")])
def test_plain_pictures_stay_bit_identical(form, mode):
    data = encode(Image.fromarray(GRAY).convert(mode), form)
    assert read_picture("x", PurePath("x"), data).encoded == data


def test_no_table_where_nothing_was_read(mnasnet, trained_run, tmp_path):
    outcome = mnasnet("predict", trained_run, tmp_path / "none.jpg")
    assert (outcome.code, outcome.out) == (2, "")


def encode(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels_of(picture):
    import tensorflow as tf

    assert isinstance(picture, Picture), picture
    return tf.io.decode_image(picture.encoded, channels=3).numpy()


def test_a_video_is_its_frames(tmp_path, monkeypatch):
    (tmp_path / "clip.mp4").write_bytes(b"x")
    frames = [np.full((6, 8, 3), number, np.uint8) for number in range(5)]
    monkeypatch.setattr(video, "READERS", {"json": lambda path: iter(frames)})  # a module that is there
    found = list(read_pictures([str(tmp_path / "clip.mp4")], frame_step=2))
    assert [picture.name.rpartition("#")[2] for picture in found] == ["0", "2", "4"]
    assert found[1].place == PurePath("clip/frame-000002")
    monkeypatch.setattr(video, "READERS", {"no_such_module": lambda path: iter(frames)})
    [bad] = read_pictures([str(tmp_path / "clip.mp4")])
    assert "pip install av" in bad.reason
