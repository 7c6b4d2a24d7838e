"""`mnasnet train-coco` and `mnasnet eval --coco-val` on a tiny net: a run, resumed, scored, and all that goes wrong."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_net import DETECTOR_FLAGS, tiny_nets
from typer.testing import CliRunner

from data_prep.coco import CocoOptions, prepare_coco
from data_prep.shapes import write_shapes_coco
from mnasnet_cli.data.schema_coco import encode_coco_example
from mnasnet_cli.data.tfrecord import decode_example, read_records

pytestmark = pytest.mark.usefixtures("tiny_net")

NUMBERS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
TIMES = ("seconds", "cpu_seconds", "images_per_second")


def error_of(outcome: Any) -> str:
    assert outcome.code == 2, outcome.err
    return str(outcome.err.splitlines()[-1])


@pytest.fixture(scope="module")
def detector_run(scene_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of a tiny detector over 2 epochs; never change it."""
    run = tmp_path_factory.mktemp("runs") / "detector"
    with tiny_nets():
        from mnasnet_cli.app import app

        arguments = ["train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={run}"]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "training a detector from scratch is slow to converge" in result.stderr
    return run


def lines(run: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in found]


def test_a_run_has_what_a_classifiers_has(detector_run: Path) -> None:
    results = json.loads((detector_run / "results.json").read_text())
    assert (results["task"], results["steps"], results["images"]) == ("coco", 6, 6)
    assert [row["name"] for row in results["per_class"]] == ["circle", "square", "triangle"]
    assert [line["epoch"] for line in lines(detector_run) if "AP" in line] == [1.0, 2.0]
    assert all("loss" in line for line in lines(detector_run))
    for name in ("config.yaml", "environment.json", "train.log", "curves.png", "best", "checkpoints", "events"):
        assert (detector_run / name).exists(), name


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_ends_the_same(
    mnasnet: Callable[..., Any], scene_records: Path, detector_run: Path, tmp_path: Path
) -> None:
    from mnasnet_cli.training import loop

    class Killed(BaseException):
        pass

    def dying(*_: Any) -> None:
        raise Killed

    command = ["train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={tmp_path / 'run'}"]
    original, calls = loop.Trainer._evaluate, []

    def second_dies(trainer: Any, step: int) -> None:
        calls.append(step)
        dying() if len(calls) == 2 else original(trainer, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, "_evaluate", second_dies)
        with pytest.raises(Killed):
            mnasnet(*command)
    outcome = mnasnet(*command, "--json")
    assert outcome.code == 0, outcome.err
    assert "going on from step 3 of 6" in outcome.err
    assert "from scratch" not in outcome.err
    assert lines(tmp_path / "run") == lines(detector_run)
    undisturbed = json.loads((detector_run / "results.json").read_text())
    assert {key: outcome.json[key] for key in NUMBERS} == {key: undisturbed[key] for key in NUMBERS}


def start(run: Path, records: Path) -> subprocess.Popen[str]:
    program = Path(__file__).parent.parent / "tiny_net.py"
    often = "--set=training.checkpoint_minutes=0.0001"  # checkpoints between the epochs' ends, too
    command = [sys.executable, program, "train-coco", *DETECTOR_FLAGS, "--epochs=12", f"--data={records}", often]
    return subprocess.Popen(
        [*command, f"--run-dir={run}", "--set=detection.mosaic=0.5"], stderr=subprocess.PIPE, text=True
    )


def last_step(run: Path) -> int:
    file = run / "metrics.jsonl"
    found = file.read_text().splitlines() if file.exists() else []
    return int(json.loads(found[-1])["step"]) if found and found[-1].endswith("}") else 0


@pytest.mark.slow
def test_killed_twice_with_sigkill_it_ends_the_same(scene_records: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for run, step in ((whole, None), (killed, 8), (killed, 23), (killed, None)):  # of 36 steps
        process = start(run, scene_records)
        while step and process.poll() is None and last_step(run) < step:
            time.sleep(0.01)
        if step:
            process.kill()
        _, err = process.communicate()
        assert process.returncode == (-signal.SIGKILL if step else 0), err
    assert "going on from step" in (killed / "train.log").read_text()
    assert lines(killed) == lines(whole)
    from mnasnet_cli.training.checkpoints import newest_checkpoint, read_checkpoint

    ours, theirs = (read_checkpoint(newest_checkpoint(run)).weights for run in (killed, whole))
    assert [name for name in theirs if (ours[name] != theirs[name]).any()] == []


def test_a_loss_that_is_not_finite_names_step_and_images(
    mnasnet: Callable[..., Any], scene_records: Path, tmp_path: Path
) -> None:
    explode = ("--set=optimizer.name=sgd", "--set=optimizer.gradient_clip=0", "--set=schedule.warmup_epochs=0")
    outcome = mnasnet(
        "train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={tmp_path / 'run'}", *explode,
        "--set=optimizer.learning_rate_per_256=1e38",
    )  # fmt: skip
    message = error_of(outcome)
    assert "(epoch 1), on the images 0000" in message
    assert "no checkpoint was saved before it" in message
    assert (tmp_path / "run/train.log").exists()


def test_eval_says_what_training_said_and_report_the_same(
    mnasnet: Callable[..., Any], scene_records: Path, detector_run: Path, tmp_path: Path
) -> None:
    results = json.loads((detector_run / "results.json").read_text())
    found = tmp_path / "found.json"
    command = ["eval", "--coco-val", detector_run, f"--data={scene_records}"]
    outcome = mnasnet(*command, "--json", f"--detections={found}", f"--plots={tmp_path / 'plots'}", "--batch-size=3")
    assert outcome.code == 0, outcome.err
    defined = [key for key in (*NUMBERS, "AR100", "images", "loss") if results[key] is not None]
    assert len(defined) >= 6
    for key in defined:
        assert outcome.json[key] == pytest.approx(results[key], rel=1e-4, abs=1e-4), key
    assert len(list((tmp_path / "plots").iterdir())) == 4
    annotations = scene_records.parent / "images/annotations/instances_val2017.json"
    again = mnasnet("report", found, annotations, "--json")
    assert again.code == 0, again.err
    for key in {*NUMBERS} & {*defined}:  # the file holds boxes to a hundredth of a pixel
        assert again.json[key] == pytest.approx(outcome.json[key], abs=2e-3), key
    table = mnasnet(*command, "--best", "--image-size=96")
    assert table.code == 0, table.err
    for text in ("AP50", "AR_large", "triangle", "96 px"):
        assert text in table.out


def test_what_cannot_be_evaluated_is_one_line(
    mnasnet: Callable[..., Any], detector_run: Path, scene_records: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(scene_records, tmp_path / "other"))
    summary = other / "dataset.json"
    summary.write_text(summary.read_text().replace('"square"', '"cube"'))
    message = error_of(mnasnet("eval", "--coco-val", detector_run, f"--data={other}"))
    assert "they are not the same (such as 4 cube)" in message
    assert "say what to evaluate on" in error_of(mnasnet("eval", detector_run))
    assert "--detections is for detectors" in error_of(mnasnet("eval", "--imagenet-val", "--detections=a.json"))


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


def test_one_image_with_200_boxes_and_one_without_any(mnasnet: Callable[..., Any], tmp_path: Path) -> None:
    records = small_set(tmp_path)
    command = ["train-coco", *DETECTOR_FLAGS, f"--data={records}", f"--run-dir={tmp_path / 'run'}", "--json"]
    assert "has 1 training images, fewer than the batch size 4" in error_of(mnasnet(*command))
    assert not (tmp_path / "run").exists()
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
    outcome = mnasnet("train-coco", *DETECTOR_FLAGS, f"--data={records}", f"--run-dir={tmp_path / 'run'}")
    message = error_of(outcome)
    assert f"{shard}, record 0 (odd.jpg): box 0" in message
    assert "has no area within the image" in message


def test_a_backbone_of_another_net_and_two_starts_are_errors(
    mnasnet: Callable[..., Any], scene_records: Path, trained_run: Path, detector_run: Path, tmp_path: Path
) -> None:
    command = ["train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={tmp_path / 'run'}"]
    assert "holds tiny at width 1, but the run is for tiny-backbone" in error_of(
        mnasnet(*command, f"--backbone={trained_run}")
    )
    assert "give one of them" in error_of(mnasnet(*command, "--backbone=a", "--init=b"))
    assert "is not for detectors" in error_of(mnasnet(*command, "--set=data.augment.mixup=0.2"))
    assert "holds another detector" in error_of(
        mnasnet(*command, "--set=detection.channels=16", f"--init={detector_run}")
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_classifier_is_what_a_detector_starts_from(
    mnasnet: Callable[..., Any], shape_records: Path, scene_records: Path, tmp_path: Path
) -> None:
    classifier, detector = tmp_path / "classifier", tmp_path / "detector"
    flags = ("--config=quick", "--variant=tiny-backbone", "--image-size=32", "--batch-size=16", "--epochs=1")
    outcome = mnasnet("train-imagenet", *flags, f"--data={shape_records}", f"--run-dir={classifier}")
    assert outcome.code == 0, outcome.err
    outcome = mnasnet(
        "train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={detector}", f"--backbone={classifier}",
        "--epochs=1", "--set=optimizer.learning_rate_per_256=0", "--set=optimizer.weight_decay=0",
        "--set=finetune.freeze_norm=true",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "from scratch" not in outcome.err
    from mnasnet_cli.training.checkpoints import newest_checkpoint, read_checkpoint

    ours, theirs = (read_checkpoint(newest_checkpoint(run)).weights for run in (detector, classifier))
    for name in ("Mnasnet/Conv/weights", "Mnasnet/Conv/BatchNorm/moving_variance"):
        assert ours[f"FeatureExtractor/{name}"] == pytest.approx(theirs[name], rel=1e-5)
