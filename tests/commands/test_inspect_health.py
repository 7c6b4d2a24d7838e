"""`mnasnet inspect --health`: records of this program and of others, as tables, as JSON and as a page."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data_prep.coco import prepare_coco
from data_prep.options import CocoOptions
from data_prep.shapes import write_shapes_coco
from mnasnet_cli.records.tfrecord import encode_example, frame_record


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    write_shapes_coco(root / "images", train=24, val=6, size=96, classes=3)
    image = root / "images/train2017/000000000003.jpg"
    (root / "images/val2017/000001000002.jpg").write_bytes(image.read_bytes())  # of another size: a bad image
    prepare_coco(root / "images", root / "records", CocoOptions(workers=1, on_bad_image="skip"))
    return root / "records"


def turned(colour: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(out, "JPEG", exif=exif)
    return out.getvalue()


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Records as TF-Slim's scripts write them: two of four images are turned."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    rows = [
        encode_example({"image/encoded": turned(colour, orientation), "image/class/label": label})
        for colour, orientation, label in (("red", 6, 1), ("blue", 1, 2), ("green", 3, 1), ("white", 1, 2))
    ]
    framed = [b"".join((frame_record(row)[0], row, frame_record(row)[1])) for row in rows]
    (folder / "train-00000-of-00001").write_bytes(b"".join(framed))
    return folder


def test_json(mnasnet: Any, scenes: Path) -> None:
    result = mnasnet("inspect", scenes, "--health", "--json")
    assert result.code == 0, result.err
    found = result.json
    assert (found["what"], found["kind"]) == ("records", "coco")
    health = found["health"]
    assert set(health) == {"kind", "splits", "duplicates", "classes", "findings", "oddest"}
    train, objects = health["splits"]["train"], found["splits"]["train"]["objects"]
    assert train["images"] == found["splits"]["train"]["examples"] == 24
    for key in ("boxes", "crowds", "small", "medium", "large", "images_without_boxes"):
        assert train["boxes"][key] == objects[key]
    per_class = found["splits"]["train"]["per_class"]
    assert {one["class"]: one["splits"]["train"]["boxes"] for one in health["classes"]} == per_class
    assert set(train["boxes"]["under_8_px"]) == {"640", "320"}


def test_tables_and_page(mnasnet: Any, scenes: Path, tmp_path: Path) -> None:
    page = tmp_path / "health.html"
    result = mnasnet("inspect", scenes, "--html", page)  # implies --health
    assert result.code == 0, result.err
    for text in ("Images in", "under 8 px at 640 px", "triangle", "Oddest images"):
        assert text in result.out
    assert "image/object/bbox" not in result.out
    assert str(page) in result.err
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_turned_images_of_others_are_counted(mnasnet: Any, foreign: Path) -> None:
    result = mnasnet("inspect", foreign)
    assert "warning: 2 of 4 images that were read lie on the side or are mirrored" in result.err
    assert mnasnet("inspect", foreign, "--json").json["turned_images"] == {"examined": 4, "turned": 2}
    result = mnasnet("inspect", foreign / "train-00000-of-00001", "--health", "--json")
    [finding] = [one for one in result.json["health"]["findings"] if one["code"] == "turned-image"]
    assert (finding["count"], finding["split"]) == (2, "train")
    assert finding["example"] == "record 0 of train-00000-of-00001"
    assert "prepare" in finding["advice"]


def test_records_of_this_program_are_upright(mnasnet: Any, scenes: Path) -> None:
    result = mnasnet("inspect", scenes)
    assert "EXIF" not in result.err
    assert "turned-image" not in mnasnet("inspect", scenes, "--health", "--json").out


def test_only_records_are_examined(mnasnet: Any, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("task: classification\n")
    for flags in (["--health"], ["--html", tmp_path / "x.html"]):
        result = mnasnet("inspect", tmp_path, *flags)
        assert result.code == 2
        assert result.err.startswith("error: --health examines records, but ")
        assert "is a run" in result.err
        assert len(result.err.splitlines()) == 1


def test_page_and_picture_go_into_new_folders(mnasnet: Any, foreign: Path, tmp_path: Path) -> None:
    page, picture = tmp_path / "new" / "folder" / "health.html", tmp_path / "another" / "x.png"
    result = mnasnet("inspect", foreign, "--html", page, "--images", 1, "--out", picture)
    assert result.code == 0, result.err
    assert page.exists()
    assert picture.exists()


def test_a_page_that_cannot_be_written_is_refused_first(mnasnet: Any, foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for flags in (("--html", tmp_path / "file" / "x.html"), ("--images", 1, "--out", tmp_path / "file" / "x.png")):
        result = mnasnet("inspect", foreign, *flags)
        assert result.code == 2
        assert result.err.startswith(f"error: {flags[-2]} {flags[-1]} can't be written: ")


def test_damage_is_named(mnasnet: Any, foreign: Path) -> None:
    path = foreign / "train-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-3])
    result = mnasnet("inspect", foreign, "--health")
    assert result.code == 2
    assert "cut off 3 bytes" in result.err


def test_records_without_dataset_json_are_counted_the_same(mnasnet: Any, scenes: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(scenes, tmp_path / "copy"))
    (folder / "dataset.json").unlink()
    expected = mnasnet("inspect", folder, "--json").json
    found = mnasnet("inspect", folder, "--health", "--json").json
    for key in ("kind", "classes", "splits", "image_sizes", "texts", "fingerprint", "first"):
        assert found[key] == expected[key], key
    assert found["health"]["splits"] == mnasnet("inspect", scenes, "--health", "--json").json["health"]["splits"]
