"""COCO records: encoding, parsing with and without TensorFlow, and invalid records."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_cases import BOXES, IMAGE, NO_OBJECTS, OBJECTS, coco_record, foreign_coco_record, jpeg, write

from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info
from mnasnet_cli.records.coco_example import coco_fault, parse_coco_example
from mnasnet_cli.records.tfrecord import decode_example


def parse(data: bytes, *names: str) -> dict[str, Any]:
    import tensorflow as tf

    return {key: value.numpy() for key, value in parse_coco_example(tf.constant(data), names).items()}


def test_round_trip_without_tensorflow() -> None:
    assert decode_example(coco_record()) == {
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


@pytest.mark.parametrize("objects", [OBJECTS, NO_OBJECTS])
def test_the_bytes_are_those_of_tensorflow(objects: dict[str, Any]) -> None:
    import tensorflow as tf

    data = coco_record(**objects)
    example = tf.train.Example.FromString(data)
    assert example.SerializeToString(deterministic=True) == data
    assert example.features.feature["image/object/area"].WhichOneof("kind") == "float_list"
    assert example.features.feature["image/object/class/label"].WhichOneof("kind") == "int64_list"


def test_round_trip_in_tensorflow() -> None:
    found = parse(coco_record())
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
    rows = tf.data.Dataset.from_tensor_slices([coco_record(**NO_OBJECTS), coco_record(**many)]).map(parse_coco_example)
    assert rows.element_spec["boxes_yxyx"].shape == [None, 4]
    none, all_boxes = rows.as_numpy_iterator()
    assert {key: none[key].shape for key in ("boxes_yxyx", "classes", "is_crowd", "area")} == {
        "boxes_yxyx": (0, 4), "classes": (0,), "is_crowd": (0,), "area": (0,),
    }  # fmt: skip
    assert all_boxes["boxes_yxyx"].shape == (200, 4)
    assert all_boxes["classes"].tolist() == [3, 1] * 100


def test_other_records_have_no_labels_sizes_areas_and_ids() -> None:
    found = parse(foreign_coco_record(), "bird", "cat", "dog")
    assert found["classes"].tolist() == [3, 2]
    assert (found["height"], found["width"]) == (16, 32)
    assert found["boxes_yxyx"].tolist() == [[4, 4, 8, 32], [0, 0, 16, 16]]
    assert found["area"].tolist() == [4 * 28, 16 * 16]
    assert found["is_crowd"].tolist() == [False, False]
    assert 0 <= found["image_id"] < 1 << 31
    named = [
        int(parse(foreign_coco_record(**{"image/source_id": name}), "cat", "dog")["image_id"])
        for name in (b"a/7", b"a/8")
    ]
    assert named[0] != named[1]
    assert parse(foreign_coco_record(**{"image/source_id": b"17"}), "cat", "dog")["image_id"] == 17


def test_contradictory_records_are_errors() -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError, match="unknown class"):
        parse(foreign_coco_record(), "cat")
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in length"):
        parse(foreign_coco_record(**{"image/object/class/label": [1]}))
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in length"):
        parse(foreign_coco_record())  # texts only, and no names of classes


def test_boxes_beyond_the_image_are_clipped() -> None:
    found = parse(coco_record(boxes_yxyx=[(-0.5, 0.5, 0.5, 1.5), (0.5, -1.0, 2.0, 0.5)]))
    assert found["boxes_yxyx"].tolist() == [[0, 80, 40, 160], [40, 0, 80, 80]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        (NO_OBJECTS, ""),
        ({"boxes_yxyx": [(-0.5, 0.5, 0.5, 1.5), BOXES[1]]}, ""),
        (
            {"boxes_yxyx": [BOXES[0], (1.1, 0.0, 1.4, 0.5)]},
            r"box 1 .*1\.1, 0, 1\.4, 0\.5\) has no area within the image",
        ),
        ({"boxes_yxyx": [(0.5, 0.5, 0.5, 0.75), BOXES[1]]}, "box 0 .* has no area"),
        ({"boxes_yxyx": [(float("nan"), 0.5, 0.5, 0.75), BOXES[1]]}, "box 0 has a side that is not a finite number"),
        ({"classes": [3, 4]}, r"box 1 has the label 4, expected 1\.\.3"),
        ({"classes": [0, 1]}, "box 0 has the label 0"),
        ({"classes": [1]}, "differ in length"),
    ],
)
def test_faults(changes: dict[str, Any], message: str) -> None:
    found = coco_fault(decode_example(coco_record(**changes)), 3)
    assert re.search(message, found) if message else found == ""
    assert coco_fault({}, 3) == "it contains no image"


def test_verification_names_the_record(tmp_path: Path) -> None:
    from mnasnet_cli.data.verification import verify_records

    path = tmp_path / "train-00000-of-00001"
    (tmp_path / "labels.txt").write_text("5\tcat\n9\tpig\n18\tdog\n")
    valid, outside = coco_record(jpeg(160, 80)), coco_record(jpeg(160, 80), boxes_yxyx=[(2.0, 0.0, 3.0, 1.0), BOXES[1]])
    write(path, valid, valid)
    verify_records(dataset_info.load_dataset_info(tmp_path), images=True)
    for row, message in ((outside, "box 0 .* has no area within"), (coco_record(), "image a.jpg")):
        write(path, valid, row)
        with pytest.raises(DataError, match=rf"train-00000-of-00001, record 1.*{message}"):
            verify_records(dataset_info.load_dataset_info(tmp_path), images=True)
