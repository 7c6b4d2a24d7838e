"""`mnasnet inspect` on record files and folders, ours and foreign, on artifacts and on checkpoints."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data_prep.coco import prepare_coco
from data_prep.imagenet import prepare_imagenet
from data_prep.options import CocoOptions, Options
from data_prep.shapes import write_shapes_coco, write_shapes_imagenet
from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.records.tfrecord import encode_example, frame_record


def jpeg(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(out, "JPEG")
    return out.getvalue()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    data = [encode_example(row) for row in rows]
    path.write_bytes(b"".join(frame_record(row)[0] + row + frame_record(row)[1] for row in data))
    return path


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inspect")
    write_shapes_imagenet(root / "images", classes=3, train_per_class=4, val_per_class=2, size=32)
    prepare_imagenet(root / "images", root / "records", Options(train_shards=2, val_shards=1, workers=1))
    return root / "records"


def test_folder(mnasnet: Any, records: Path, tmp_path: Path) -> None:
    result = mnasnet("inspect", records, "--images", 5, "--out", tmp_path / "x.png", "--json")
    assert result.code == 0, result.err
    found = result.json
    assert (found["what"], found["kind"], found["classes"], found["drawn"]) == ("records", "imagenet", 3, 5)
    assert found["splits"]["train"]["examples"] == 12
    assert found["splits"]["train"]["shards"] == 2
    assert found["splits"]["train"]["shard_examples"] == {"min": 6, "max": 6, "total": 12}
    assert found["splits"]["validation"]["per_class"] == {f"n9000000{label}": 2 for label in (1, 2, 3)}
    assert found["texts"]["n90000003"] == "triangle"
    assert len(found["keys"]) == 10
    with Image.open(tmp_path / "x.png") as sheet:
        assert sheet.size[0] == 3 * 208 + 8
    result = mnasnet("inspect", records)
    assert result.code == 0, result.err
    for text in ("triangle", "image/class/synset", "32–32 px", "n90000001_0000"):
        assert text in result.out


def test_file(mnasnet: Any, records: Path) -> None:
    result = mnasnet("inspect", records / "validation-00000-of-00001", "--json")
    assert result.code == 0, result.err
    assert result.json["splits"]["validation"]["per_class"] == {f"n9000000{label}": 2 for label in (1, 2, 3)}


def test_foreign_records_without_sizes(mnasnet: Any, tmp_path: Path) -> None:
    rows = [{"image/encoded": jpeg("red"), "image/class/label": label} for label in (4, 4, 7)]
    write(tmp_path / "train-00000-of-00001", rows)
    result = mnasnet("inspect", tmp_path, "--json")
    assert result.code == 0, result.err
    assert result.json["splits"]["train"]["per_class"] == {"4": 2, "7": 1}
    assert result.json["image_sizes"]["width"] == {"min": 40, "mean": 40.0, "max": 40}


def test_detection_records_are_drawn_with_boxes(mnasnet: Any, tmp_path: Path) -> None:
    corners = {"ymin": 0.25, "xmin": 0.25, "ymax": 0.75, "xmax": 0.75}
    box = {f"image/object/bbox/{side}": [value] for side, value in corners.items()}
    row = {"image/encoded": jpeg("blue"), "image/object/class/label": [3], **box}
    path = write(tmp_path / "some.tfrecord", [row])
    result = mnasnet("inspect", path, "--images", 1, "--out", tmp_path / "x.png", "--json")
    assert result.code == 0, result.err
    assert result.json["kind"] == "coco"
    with Image.open(tmp_path / "x.png") as sheet:
        red, green, blue = sheet.convert("RGB").getpixel((8 + 200, 8 + 150 - 1))  # the box's lower edge, 400×200 px
        assert min(red, green) > 100 or green > 200, (red, green, blue)
        red, green, blue = sheet.convert("RGB").getpixel((8 + 240, 8 + 120))
        assert blue > 200 > max(red, green)


def test_coco_records(mnasnet: Any, tmp_path: Path) -> None:
    write_shapes_coco(tmp_path / "images", train=20, val=3, size=64, classes=3)
    prepare_coco(tmp_path / "images", tmp_path / "records", CocoOptions(train_shards=2, val_shards=1, workers=1))
    annotations = json.loads((tmp_path / "images/annotations/instances_train2017.json").read_text())["annotations"]
    result = mnasnet("inspect", tmp_path / "records", "--images", 4, "--out", tmp_path / "x.png", "--json")
    assert result.code == 0, result.err
    found = result.json
    assert (found["kind"], found["classes"], found["drawn"]) == ("coco", 3, 4)
    assert found["texts"] == {"1": "circle", "4": "square", "7": "triangle"}
    train = found["splits"]["train"]
    assert sum(train["per_class"].values()) == train["objects"]["boxes"] == len(annotations)
    assert train["objects"]["crowds"] == sum(one["iscrowd"] for one in annotations) > 0
    assert train["objects"]["images_without_boxes"] == 2  # one in ten
    shown = mnasnet("inspect", tmp_path / "records")
    for text in ("category", "triangle", "crowds", "images without"):
        assert text in shown.out
    (tmp_path / "records" / "dataset.json").unlink()  # a foreign folder is counted, to the same
    objects = mnasnet("inspect", tmp_path / "records", "--json").json["splits"]["train"]["objects"]
    assert objects | {"clipped": 0} == train["objects"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "record 5, at byte .* cut off 3 bytes"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:200] + b"!" + path.read_bytes()[201:]),
            "record 0, at byte 0",
        ),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: path.write_text("no record"), "not a complete TFRecord file"),
    ],
)
def test_damage_is_named(mnasnet: Any, records: Path, tmp_path: Path, damage: Any, message: str) -> None:
    path = tmp_path / "validation-00000-of-00001"
    path.write_bytes((records / path.name).read_bytes())
    damage(path)
    result = mnasnet("inspect", path)
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert re.search(message, result.err), result.err


def test_other_things(mnasnet: Any, tmp_path: Path) -> None:
    assert mnasnet("inspect", tmp_path).code == 2
    (tmp_path / "notes.txt").write_text("notes")
    result = mnasnet("inspect", tmp_path / "notes.txt")
    assert result.code == 2
    assert "exported artifact" in result.err


def write_artifact(folder: Path, form: str) -> Path:
    """A file that stands for a model, with its manifest."""
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(b"0123456789")
    Manifest(
        format=form,
        task="classification",
        variant="b1",
        width=0.5,
        labels=("n1", "n2"),
        names=("cat", "dog"),
        preprocessing=Preprocessing(96, 0.875, True, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        postprocessing=None,
        source="runs/cats/checkpoints/ckpt-7",
        step=7,
        averaged=True,
        signature={
            "inputs": {"tensors": {"dtype": "float32", "shape": [None, 96, 96, 3]}},
            "outputs": {"logits": {"dtype": "float32", "shape": [None, 2]}},
        },
        parity={"on": "64 images", "difference": 0.001},
        versions={"mnasnet": "1"},
        files=("model.tflite",),
        notes=("a note",),
    ).write(folder)
    return folder / "model.tflite"


def test_artifact(mnasnet: Any, tmp_path: Path) -> None:
    file = write_artifact(tmp_path / "my export" / "tflite", "tflite")
    for path in (file, file.parent):
        found = mnasnet("inspect", path, "--json").json
        assert (found["what"], found["kind"], found["format"]) == ("artifact", "classifier", "tflite")
        assert (found["bytes"], found["classes"], found["image_size"], found["step"]) == (10, 2, 96, 7)
    shown = mnasnet("inspect", file)
    assert shown.code == 0, shown.err
    for text in ("b1", "ckpt-7", "[None, 96, 96, 3]", "dog", "64 images", "a note"):
        assert text in shown.out
    write_artifact(tmp_path / "my export" / "tflite-fp16", "tflite-fp16")
    found = mnasnet("inspect", tmp_path / "my export", "--json").json
    assert [one["format"] for one in found["artifacts"]] == ["tflite", "tflite-fp16"]
    assert "tflite-fp16" in mnasnet("inspect", tmp_path / "my export").out
    refused = mnasnet("inspect", file, "--images", 2)
    assert refused.code == 2
    assert "draws records" in refused.err
    (file.parent / "manifest.json").unlink()
    refused = mnasnet("inspect", file, "--json")
    assert (refused.code, refused.out) == (2, "")
    assert "manifest.json" in refused.err


def test_detectors_checkpoint(mnasnet: Any, tmp_path: Path, tiny_net: None) -> None:
    from made_models import detector_config, make_checkpoint

    prefix = make_checkpoint(tmp_path / "run", detector_config(kernel=7), ["1", "4"])
    found = mnasnet("inspect", prefix, "--json").json
    sizes = {"family": "lite", "channels": 8, "depth": 1, "kernel": 7}
    assert found["what"] == "checkpoint"
    assert {key: found["detection"][key] for key in sizes} == sizes
    shown = mnasnet("inspect", prefix)
    assert shown.code == 0, shown.err
    assert re.search(r"channels +│ 8 ", shown.out)
