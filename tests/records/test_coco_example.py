"""COCO records: encode and decode, TensorFlow's view of both, foreign ones, and what makes one useless."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info, keys, shards
from mnasnet_cli.records.coco_example import coco_fault, encode_coco_example, parse_coco_example
from mnasnet_cli.records.tfrecord import decode_example, encode_example, frame_record

BOXES = [(0.25, 0.125, 0.5, 1.0), (0.0, 0.0, 1.0, 0.5)]  # exact in float32
OBJECTS: dict[str, Any] = {
    "boxes_yxyx": BOXES, "classes": [3, 1], "texts": ["dog", "cat"], "is_crowd": [False, True], "area": [12.5, 640.0],
}  # fmt: skip
NONE: dict[str, Any] = {"boxes_yxyx": [], "classes": [], "texts": [], "is_crowd": [], "area": []}
IMAGE = b"\xff\xd8 an image"


def encode(image: bytes = IMAGE, **changes: Any) -> bytes:
    arguments = {"image_id": 1 << 40, "filename": "a.jpg", "height": 80, "width": 160, **OBJECTS, **changes}
    return encode_coco_example(image, **arguments)


def parse(data: bytes, *names: str) -> dict[str, Any]:
    import tensorflow as tf

    return {key: value.numpy() for key, value in parse_coco_example(tf.constant(data), names).items()}


def test_round_trip_without_tensorflow() -> None:
    assert decode_example(encode()) == {
        "image/encoded": [IMAGE],
        "image/filename": [b"a.jpg"],
        "image/format": [b"jpeg"],
        "image/height": [80],
        "image/key/sha256": [hashlib.sha256(IMAGE).hexdigest().encode()],
        "image/object/area": [12.5, 640.0],
        "image/object/bbox/xmax": [1.0, 0.5],
        "image/object/bbox/xmin": [0.125, 0.0],
        "image/object/bbox/ymax": [0.5, 1.0],
        "image/object/bbox/ymin": [0.25, 0.0],
        "image/object/class/label": [3, 1],
        "image/object/class/text": [b"dog", b"cat"],
        "image/object/is_crowd": [0, 1],
        "image/source_id": [str(1 << 40).encode()],
        "image/width": [160],
    }


@pytest.mark.parametrize("objects", [OBJECTS, NONE])
def test_example_is_what_tensorflow_writes(objects: dict[str, Any]) -> None:
    import tensorflow as tf

    data = encode(**objects)
    example = tf.train.Example.FromString(data)
    assert example.SerializeToString(deterministic=True) == data
    assert example.features.feature["image/object/area"].WhichOneof("kind") == "float_list"
    assert example.features.feature["image/object/class/label"].WhichOneof("kind") == "int64_list"


def test_round_trip_in_tensorflow() -> None:
    found = parse(encode())
    assert found["boxes_yxyx"].tolist() == [[20, 20, 40, 160], [0, 0, 80, 80]]  # px of 80×160
    assert found["boxes_yxyx"].dtype == np.float32
    assert found["classes"].tolist() == [3, 1]
    assert found["is_crowd"].tolist() == [False, True]
    assert found["area"].tolist() == [12.5, 640.0]
    assert (found["image_id"], found["height"], found["width"]) == (1 << 40, 80, 160)
    assert (found["image_bytes"], found["filename"]) == (IMAGE, b"a.jpg")


def test_images_with_no_and_with_many_boxes_inside_map() -> None:
    import tensorflow as tf

    many = {"boxes_yxyx": BOXES * 100, "classes": [3, 1] * 100, "texts": ["dog", "cat"] * 100,
            "is_crowd": [False, True] * 100, "area": [12.5, 640.0] * 100}  # fmt: skip
    rows = tf.data.Dataset.from_tensor_slices([encode(**NONE), encode(**many)]).map(parse_coco_example)
    assert rows.element_spec["boxes_yxyx"].shape == [None, 4]
    none, all_of_them = rows.as_numpy_iterator()
    assert {key: none[key].shape for key in ("boxes_yxyx", "classes", "is_crowd", "area")} == {
        "boxes_yxyx": (0, 4), "classes": (0,), "is_crowd": (0,), "area": (0,),
    }  # fmt: skip
    assert all_of_them["boxes_yxyx"].shape == (200, 4)
    assert all_of_them["classes"].tolist() == [3, 1] * 100


def jpeg(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "JPEG")
    return out.getvalue()


def foreign(**more: Any) -> bytes:
    """A record with boxes and texts only, as the Object Detection API's COCO script writes it, less its sizes."""
    sides = zip(schema_sides(), zip(*BOXES, strict=True), strict=True)
    texts = {"image/object/class/text": [b"dog", b"cat"]}
    return encode_example({keys.ENCODED: jpeg(32, 16), **{key: list(values) for key, values in sides}, **texts, **more})


def schema_sides() -> list[str]:
    return [f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax")]


def test_foreign_records_lack_labels_sizes_areas_and_ids() -> None:
    found = parse(foreign(), "bird", "cat", "dog")
    assert found["classes"].tolist() == [3, 2]
    assert (found["height"], found["width"]) == (16, 32)
    assert found["boxes_yxyx"].tolist() == [[4, 4, 8, 32], [0, 0, 16, 16]]
    assert found["area"].tolist() == [4 * 28, 16 * 16]
    assert found["is_crowd"].tolist() == [False, False]
    assert 0 <= found["image_id"] < 1 << 31
    named = [int(parse(foreign(**{"image/source_id": name}), "cat", "dog")["image_id"]) for name in (b"a/7", b"a/8")]
    assert named[0] != named[1]
    assert parse(foreign(**{"image/source_id": b"17"}), "cat", "dog")["image_id"] == 17


def test_records_that_contradict_themselves_do_not_parse() -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError, match="not among the known"):
        parse(foreign(), "cat")
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in length"):
        parse(foreign(**{"image/object/class/label": [1]}))
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in length"):
        parse(foreign())  # texts only, and no names to number them by


def test_boxes_beyond_the_image_are_clipped() -> None:
    found = parse(encode(boxes_yxyx=[(-0.5, 0.5, 0.5, 1.5), (0.5, -1.0, 2.0, 0.5)]))
    assert found["boxes_yxyx"].tolist() == [[0, 80, 40, 160], [40, 0, 80, 80]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        (NONE, ""),
        ({"boxes_yxyx": [(-0.5, 0.5, 0.5, 1.5), BOXES[1]]}, ""),
        (
            {"boxes_yxyx": [BOXES[0], (1.1, 0.0, 1.4, 0.5)]},
            r"box 1 .*1\.1, 0, 1\.4, 0\.5\) has no area within the image",
        ),
        ({"boxes_yxyx": [(0.5, 0.5, 0.5, 0.75), BOXES[1]]}, "box 0 .* has no area"),
        ({"boxes_yxyx": [(float("nan"), 0.5, 0.5, 0.75), BOXES[1]]}, "box 0 has a side that is no finite number"),
        ({"classes": [3, 4]}, r"box 1 has the label 4, expected 1\.\.3"),
        ({"classes": [0, 1]}, "box 0 has the label 0"),
        ({"classes": [1]}, "differ in length"),
    ],
)
def test_faults(changes: dict[str, Any], message: str) -> None:
    import re

    found = coco_fault(decode_example(encode(**changes)), 3)
    assert re.search(message, found) if message else found == ""
    assert coco_fault({}, 3) == "it holds no image"


def write(path: Path, *rows: bytes) -> None:
    path.write_bytes(b"".join(frame_record(row)[0] + row + frame_record(row)[1] for row in rows))


def test_foreign_folders(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001"
    write(path, foreign(), foreign())
    info = dataset_info.load_dataset_info(tmp_path, "coco")
    assert (info.kind, info.classes, info.texts, info.category_ids) == ("coco", 2, ("cat", "dog"), (1, 2))
    write(path, encode(**NONE), encode())
    info = dataset_info.load_dataset_info(tmp_path)
    assert (info.kind, info.texts, info.category_ids) == ("coco", ("cat", "2", "dog"), (1, 2, 3))
    (tmp_path / "labels.txt").write_text("5\tcat\n9\tpig\n18\tdog\n")
    info = dataset_info.load_dataset_info(tmp_path)
    assert (info.texts, info.category_ids, info.synsets) == (("cat", "pig", "dog"), (5, 9, 18), ("5", "9", "18"))
    with pytest.raises(DataError, match=r"holds coco records, but imagenet records are needed; .*prepare-imagenet"):
        dataset_info.load_dataset_info(tmp_path, "imagenet")


def test_messages_name_the_command_that_makes_such_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mnasnet prepare-coco SOURCE"):
        dataset_info.load_dataset_info(tmp_path, "coco")
    (tmp_path / "unfinished-part-00001-of-00001.jsonl").write_text('{"kind": "coco"}\n')
    with pytest.raises(DataError, match="unfinished; finish them with `mnasnet prepare-coco"):
        shards.find_shards(tmp_path, "train")
    (tmp_path / "dataset.json").write_text(json.dumps({"kind": "coco"}))
    with pytest.raises(DataError, match=r"cannot read .*dataset\.json"):
        dataset_info.load_dataset_info(tmp_path)


def test_verification_names_the_record(tmp_path: Path) -> None:
    from mnasnet_cli.data.verification import verify_records

    path = tmp_path / "train-00000-of-00001"
    (tmp_path / "labels.txt").write_text("5\tcat\n9\tpig\n18\tdog\n")
    whole, outside = encode(jpeg(160, 80)), encode(jpeg(160, 80), boxes_yxyx=[(2.0, 0.0, 3.0, 1.0), BOXES[1]])
    write(path, whole, whole)
    verify_records(dataset_info.load_dataset_info(tmp_path), images=True)
    for row, message in ((outside, "box 0 .* has no area within"), (encode(), "the image a.jpg can't be decoded")):
        write(path, whole, row)
        with pytest.raises(DataError, match=rf"train-00000-of-00001, record 1.*{message}"):
            verify_records(dataset_info.load_dataset_info(tmp_path), images=True)
