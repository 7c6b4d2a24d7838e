"""`mnasnet train-coco` on data that is odd or wrong, and when the loss is not finite."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import last_error_of
from tiny_net import DETECTOR_FLAGS

from data_prep.coco import prepare_coco
from data_prep.options import CocoOptions
from data_prep.shapes import write_shapes_coco
from mnasnet_cli.records.coco_example import encode_coco_example
from mnasnet_cli.records.tfrecord import decode_example, read_records

pytestmark = pytest.mark.usefixtures("tiny_net")


def small_set(root: Path) -> Path:
    """Records of one training image with 200 boxes, and one validation image without any."""
    write_shapes_coco(root / "images", train=1, val=1, size=64, classes=2)
    for split, count in (("train", 200), ("val", 0)):
        file = root / f"images/annotations/instances_{split}2017.json"
        content = json.loads(file.read_text())
        image = content["images"][0]["id"]
        content["annotations"] = [
            {"id": number + 1, "image_id": image, "category_id": 1 + 3 * (number % 2), "iscrowd": 0, "area": 36.0,
             "bbox": [number * 7 % 40, number * 5 % 30, 6 + number % 3, 6]}
            for number in range(count)
        ]  # fmt: skip
        file.write_text(json.dumps(content))
    prepare_coco(root / "images", root / "records", CocoOptions(train_shards=1, val_shards=1, workers=1))
    return root / "records"


def test_fewer_images_than_a_batch_are_refused_before_anything_is_made(
    mnasnet: Callable[..., Any], tmp_path: Path
) -> None:
    command = ["train-coco", *DETECTOR_FLAGS, f"--data={small_set(tmp_path)}", f"--run-dir={tmp_path / 'run'}"]
    assert "has 1 training images, fewer than the batch size 4" in last_error_of(mnasnet(*command))
    assert not (tmp_path / "run").exists()


@pytest.mark.variation
def test_one_image_with_200_boxes_and_one_without_any(mnasnet: Callable[..., Any], tmp_path: Path) -> None:
    records = small_set(tmp_path)
    command = ["train-coco", *DETECTOR_FLAGS, f"--data={records}", f"--run-dir={tmp_path / 'run'}", "--json"]
    outcome = mnasnet(*command, "--batch-size=1", "--epochs=1")
    assert outcome.code == 0, outcome.err
    assert outcome.json["AP"] is None
    assert outcome.json["best_AP"] is None
    assert outcome.json["images"] == 1
    assert [row["annotations"] for row in outcome.json["per_class"]] == [0, 0]
    json.loads((tmp_path / "run/results.json").read_text(), parse_constant=pytest.fail)


def test_a_record_with_a_box_outside_of_the_image_is_named(
    mnasnet: Callable[..., Any], scene_records: Path, tmp_path: Path
) -> None:
    import tensorflow as tf

    records = Path(shutil.copytree(scene_records, tmp_path / "records"))
    shard = records / "train-00000-of-00002"
    old = list(read_records(shard))
    image = decode_example(old[0])["image/encoded"][0]
    bad = encode_coco_example(
        image, image_id=1, filename="odd.jpg", height=80, width=80, boxes_yxyx=[(1.2, 0.1, 1.4, 0.5)], classes=[1],
        texts=["circle"], is_crowd=[False], area=[9.0],
    )  # fmt: skip
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in (bad, *old[1:]):
            writer.write(record)
    # One batch: the record is among the images that are read before the training step is compiled.
    flags = (*DETECTOR_FLAGS, "--batch-size=12")
    outcome = mnasnet("train-coco", *flags, f"--data={records}", f"--run-dir={tmp_path / 'run'}")
    message = last_error_of(outcome)
    assert f"{shard}, record 0 (odd.jpg): box 0" in message
    assert "has no area within the image" in message


@pytest.mark.variation
def test_a_loss_that_is_not_finite_names_step_and_images(
    mnasnet: Callable[..., Any], scene_records: Path, tmp_path: Path
) -> None:
    explode = ("--set=optimizer.name=sgd", "--set=optimizer.gradient_clip=0", "--set=schedule.warmup_epochs=0")
    outcome = mnasnet(
        "train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={tmp_path / 'run'}", *explode,
        "--set=optimizer.learning_rate_per_256=1e38",
    )  # fmt: skip
    message = last_error_of(outcome)
    assert "(epoch 1)" in message
    assert "images 0000" in message
    assert (tmp_path / "run/train.log").exists()
