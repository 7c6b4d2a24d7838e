"""`mnasnet predict` with a trained tiny classifier and an untrained detector."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from image_files import noise, with_orientation
from made_models import CATEGORIES
from PIL import Image

pytestmark = pytest.mark.usefixtures("tiny_net")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images, one of them in a subfolder and rotated by EXIF, and a truncated one."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    noise().save(folder / "a.jpg")
    noise().save(folder / "b.png")
    noise().save(folder / "below" / "a.jpg", exif=with_orientation(6))
    (folder / "cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:900])
    return folder


def test_a_folder_is_classified_and_drawn(mnasnet, trained_run, photos, tmp_path):
    outcome = mnasnet(
        "predict", trained_run, photos, "--json", "--top=2", f"--out={tmp_path / 'out'}", "--batch-size=2"
    )
    assert outcome.code == 2, outcome.err
    assert str(photos / "cut.jpg") in outcome.err.splitlines()[-1]
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
        assert Image.open(row["drawn"]).height > row["height"]  # with the strip
    assert [failed["file"] for failed in report["failed"]] == [str(photos / "cut.jpg")]
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg")} == {
        "a.jpg", "b.jpg", "below/a.jpg",
    }  # fmt: skip


def test_a_drawing_overwrites_no_image(mnasnet, trained_run, photos, monkeypatch):
    monkeypatch.chdir(photos)
    before = (photos / "a.jpg").read_bytes()
    for _ in range(2):  # the second run overwrites the drawing of the first
        outcome = mnasnet("predict", trained_run, "a.jpg", "--out=.", "--json")
        assert outcome.code == 0, outcome.err
        assert [row["drawn"] for row in outcome.json["images"]] == ["a-2.jpg"]
    assert (photos / "a.jpg").read_bytes() == before
    assert not (photos / "a-3.jpg").exists()


def test_all_output_formats_have_the_same_rows(mnasnet, exported_classifier, photos):
    model = exported_classifier / "tflite"  # is opened at once
    names = [photos / "a.jpg", photos / "b.png"]
    whole = mnasnet("predict", model, *names, "--json").json["images"]
    lines = mnasnet("predict", model, *names, "--format=jsonl")
    assert [json.loads(line) for line in lines.out.splitlines()] == whole
    rows = list(csv.DictReader(io.StringIO(mnasnet("predict", model, *names, "--format=csv").out)))
    assert [(row["file"], int(row["rank"]), row["class"]) for row in rows] == [
        (row["file"], rank, item["class"]) for row in whole for rank, item in enumerate(row["predictions"], 1)
    ]
    table = mnasnet("predict", model, *names)
    assert table.code == 0
    assert "probability" in table.out
    assert f"{100 * whole[0]['predictions'][0]['probability']:.1f} %" in table.out
    both = mnasnet("predict", model, *names, "--json", "--format=csv")
    assert (both.code, both.out) == (2, "")


def test_boxes_of_a_detector_are_inside_the_image(mnasnet, made_detector, photos, tmp_path):
    command = ["predict", made_detector, photos / "a.jpg", "--json"]
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
    assert Image.open(row["drawn"]).size == (180, 120)  # enlarged, so that names can be read
    [none] = mnasnet(*command, "--score-threshold=1").json["images"]
    assert none["boxes"] == []


def test_no_table_without_readable_images(mnasnet, trained_run, tmp_path):
    outcome = mnasnet("predict", trained_run, tmp_path / "none.jpg")
    assert (outcome.code, outcome.out) == (2, "")


def test_features_go_into_a_file(mnasnet, trained_run, photos, tmp_path):
    files = [tmp_path / "new/features.npy", tmp_path / "features.csv"]
    for file in files:
        outcome = mnasnet("predict", trained_run, photos, f"--features={file}", "--batch-size=2", "--json")
        assert outcome.code == 2, outcome.err  # one image is cut
        assert f"wrote the features of 3 images to {file}" in outcome.err
    array = np.load(files[0])
    assert (array.shape, array.dtype) == ((3, 64), np.float32)
    rows = list(csv.reader(files[1].read_text().splitlines()))
    assert rows[0][:2] == ["file", "feature_0"]
    assert [row[0] for row in rows[1:]] == [row["file"] for row in outcome.json["images"]]
    np.testing.assert_allclose(np.array([row[1:] for row in rows[1:]], float), array, rtol=1e-5)
    wrong = mnasnet("predict", trained_run, photos, f"--features={tmp_path / 'features.txt'}")
    assert wrong.code == 2
    assert "expected a file name that ends in .npy or .csv" in wrong.err


def test_an_explanation_is_drawn(mnasnet, trained_run, made_detector, photos, tmp_path):
    command = ["predict", trained_run, photos / "a.jpg", "--json", "--explain"]
    plain = mnasnet(*command[:-1], f"--out={tmp_path / 'plain'}").json["images"][0]
    outcome = mnasnet(*command, f"--out={tmp_path / 'explained'}")
    assert outcome.code == 0, outcome.err
    [row] = outcome.json["images"]
    assert row["predictions"] == plain["predictions"]
    drawn, before = (np.asarray(Image.open(one["drawn"]), int)[:60, 75:165] for one in (row, plain))
    assert np.abs(drawn - before).mean() > 10
    without = mnasnet(*command)
    assert (without.code, without.out) == (2, "")
    assert "name the folder for the drawings with --out DIR" in without.err
    boxes = mnasnet("predict", made_detector, photos / "a.jpg", "--explain", f"--out={tmp_path / 'boxes'}")
    assert boxes.code == 2
    assert "is a detector; features and explanations come from a classifier" in boxes.err
