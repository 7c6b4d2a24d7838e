"""TensorBoard events."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.tasks.base import Evaluation
from mnasnet_cli.tasks.coco_results import detected_truth
from mnasnet_cli.tasks.detection import DetectionTask
from mnasnet_cli.tasks.from_config import make_task
from mnasnet_cli.tracking.evaluation_events import EvaluationEvents
from mnasnet_cli.tracking.events import EventLog


def tags(folder: Path) -> list[tuple[str, int]]:
    [file] = folder.iterdir()
    events = tf.compat.v1.train.summary_iterator(str(file))
    return [(value.tag, event.step) for event in events for value in event.summary.value]


def test_writes_finite_scalars_and_images(tmp_path: Path) -> None:
    log = EventLog(tmp_path, writer=True)
    log.scalars("validation", {"top1": 0.5, "loss": math.nan}, step=3)
    log.images("train", "augmented", np.zeros([2, 4, 4, 3], np.uint8), step=0)
    assert tags(tmp_path / "events/validation") == [("top1", 3)]
    assert tags(tmp_path / "events/train") == [("augmented", 0)]


def test_only_the_writer_writes(tmp_path: Path) -> None:
    EventLog(tmp_path, writer=False).scalars("train", {"loss": 1.0}, step=1)
    assert not list(tmp_path.iterdir())


def accumulated(folder: Path) -> EventAccumulator:
    """What TensorBoard reads of a folder."""
    return EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0}).Reload()


def steps_of(folder: Path, tag: str) -> list[int]:
    return [event.step for event in accumulated(folder).Tensors(tag)]


def test_a_run_has_settings_curves_and_pictures(trained_run: Path) -> None:
    events = trained_run / "events"
    whole, validation = accumulated(events), accumulated(events / "validation")
    [text] = whole.Tensors("config.yaml")
    assert "batch_size: 16" in text.tensor_proto.string_val[0].decode()
    session = whole.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(session).session_start_info
    assert start.hparams["training.batch_size"].number_value == 16
    ended = whole.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    status = plugin_data_pb2.HParamsPluginData.FromString(ended).session_end_info.status
    assert status == api_pb2.STATUS_SUCCESS

    evaluated = [event.step for event in validation.Tensors("top1")]
    assert len(evaluated) == 3
    assert steps_of(events / "validation", "predictions") == evaluated
    curves = validation.Tensors("answers/pr_curves")
    assert [curve.step for curve in curves] == evaluated
    correct, wrong, _, missed, precision, recall = tf.make_ndarray(curves[-1].tensor_proto)
    top1 = tf.make_ndarray(validation.Tensors("top1")[-1].tensor_proto)
    assert correct[0] + wrong[0] == correct[0] + missed[0] == 20
    assert precision[0] == recall[0] == pytest.approx(float(top1))
    assert list(validation.PluginTagToContent("pr_curves")) == ["answers/pr_curves"]


def test_events_that_will_come_again_are_dropped(trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run / "events", tmp_path / "events")
    epoch = steps_of(tmp_path / "events/validation", "top1")[0]
    log = EventLog(tmp_path, writer=True, step=epoch)
    assert "_hparams_/session_end_info" not in accumulated(tmp_path / "events").Tags()["tensors"]
    assert steps_of(tmp_path / "events/validation", "top1") == [epoch]
    log.scalars("validation", {"top1": 0.5}, step=2 * epoch)
    assert steps_of(tmp_path / "events/validation", "top1") == [epoch, 2 * epoch]
    assert max(steps_of(tmp_path / "events/train", "loss")) == epoch

    EventLog(tmp_path, writer=True, step=0)
    assert not list((tmp_path / "events").rglob("events.out.*"))


def test_an_event_that_was_cut_short_is_dropped(tmp_path: Path) -> None:
    log = EventLog(tmp_path, writer=True)
    for step in (1, 2, 3):
        log.scalars("train", {"loss": 1.0}, step=step)
    [file] = (tmp_path / "events/train").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    EventLog(tmp_path, writer=True, step=1)
    assert steps_of(tmp_path / "events/train", "loss") == [1]


def test_a_detector_shows_its_boxes_and_one_curve(scene_records: Path, tmp_path: Path) -> None:
    """The annotations, taken for detections, are all found."""
    task = make_task(load_config("lite", task="detection"), scene_records)
    assert isinstance(task, DetectionTask)
    images = list(task.truth.images.items())
    found = {
        "positions": np.arange(len(images)),
        "image_ids": np.array([identity for identity, _ in images]),
        "image_sizes": np.array([[image["height"], image["width"]] for _, image in images], np.float32),
    }
    evaluation = Evaluation({}, {**found, **detected_truth(task.truth, found)})
    EvaluationEvents(task, EventLog(tmp_path, writer=True)).write(evaluation, 7)
    validation = accumulated(tmp_path / "events/validation")
    [picture], [curve] = validation.Tensors("predictions"), validation.Tensors("detections/pr_curves")
    width, height = (int(text) for text in picture.tensor_proto.string_val[:2])
    assert width > 4 * 320
    assert height > 300
    assert picture.step == curve.step == 7
    precision, recall = tf.make_ndarray(curve.tensor_proto)[-2:]
    assert precision[-1] == recall[-1] == 1.0
