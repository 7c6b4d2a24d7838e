"""The detection job on a tiny net: its loss, its boxes on the way back to the images, its numbers."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.data.coco import DetectionBatch
from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.errors import CheckFailed, CheckpointError
from mnasnet_cli.tasks.coco_results import detected_truth, results_rows
from mnasnet_cli.tasks.detection import DetectionTask

pytestmark = pytest.mark.usefixtures("tiny_net")

SEED = tf.constant([0, 0])


@functools.cache
def task_of(directory: Path, *assignments: str, recipe: str = "lite") -> DetectionTask:
    """A task, made once: its functions are traced once. Never change it."""
    settings = [
        "model.variant=tiny-backbone", "data.image_size=64", "training.batch_size=4", "detection.channels=8",
        "detection.depth=1", *assignments,
    ]  # fmt: skip
    return DetectionTask(load_config(recipe, task="detection", assignments=settings), directory)


def first_batch(task: DetectionTask) -> DetectionBatch:
    return next(iter(task.train_batches(0, 64, 0, Share(4))))


def test_the_loss_is_that_of_the_formula(scene_records: Path) -> None:
    task = task_of(scene_records)
    tf.random.set_seed(0)
    model = task.make_model()
    batch = first_batch(task)
    first = float(task.train_loss(model, batch, SEED, None)[0])
    # An untrained net says 0.01 everywhere: 0.75 · 0.01² · 0.01005 for each class of each background anchor (nothing
    # beside the rest), 0.25 · 0.99² · 4.605 = 1.128 for the class of a matched one; the box loss comes on top.
    assert 1.1 < first < 6.0  # the latter by a Huber loss of four targets with a spread near 1
    # Anchors that count for nothing count for nothing.
    masked = batch._replace(class_targets=tf.fill(batch.class_targets.shape, -1))
    assert float(task.train_loss(model, masked, SEED, None)[0]) == 0.0


@pytest.mark.parametrize("assignments", [
    ("detection.box_loss=giou", "detection.assign=atss", "finetune.freeze_norm=false"),
    ("detection.box_loss=ciou", "finetune.freeze_norm=true"),
    ("detection.box_weight=0", "detection.focal_gamma=1.5", "detection.family=retinanet", "finetune.freeze_norm=false"),
])  # fmt: skip
def test_options_give_finite_losses_and_gradients(scene_records: Path, assignments: tuple[str, ...]) -> None:
    task = task_of(scene_records, *assignments)
    model = task.make_model()
    # Of these settings, only another matching changes a batch.
    batch = first_batch(task if "detection.assign=atss" in assignments else task_of(scene_records))
    before = {name: weight.numpy() for name, weight in model.weights.items() if "moving" in name}
    with tf.GradientTape() as tape:
        loss = task.train_loss(model, batch, SEED, None)[0]
    gradients = tape.gradient(loss, model.trainable)
    assert np.isfinite(loss)
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients.values())
    changed = {name for name, value in before.items() if (value != model.weights[name].numpy()).any()}
    assert task.config.finetune.freeze_norm != any(
        name.startswith("FeatureExtractor/Mnasnet/Conv/") for name in changed
    )
    assert any("feature_0" in name for name in changed)


@functools.cache
def outputs_of(task: DetectionTask) -> dict[str, np.ndarray]:
    """What an untrained net gives; never change it."""
    model = task.make_model()
    parts = [task.eval_outputs(model, batch, None) for batch in task.eval_batches(Share(4))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_boxes_found_come_back_to_the_images(scene_records: Path) -> None:
    task = task_of(scene_records)
    outputs = outputs_of(task)
    summary = task.summarize(outputs).summary
    assert summary["images"] == 6
    assert [row["class"] for row in summary["per_class"]] == [1, 4, 7]
    assert 0.0 <= summary["AP"] < 0.2
    assert np.isfinite(summary["loss"])
    real = {name: values[outputs["positions"] >= 0] for name, values in outputs.items()}
    rows = results_rows(task.detections(real))
    assert {row["category_id"] for row in rows} <= {1, 4, 7}
    for row in rows:
        image = task.truth.images[row["image_id"]]
        x, y, width, height = row["bbox"]
        assert min(x, y, width, height) >= 0
        assert x + width <= image["width"] + 0.02
        assert y + height <= image["height"] + 0.02
    # The ground truth, found by the net with certainty, is what AP 1 means.
    perfect = {**real, **detected_truth(task.truth, real)}
    assert task.summarize(perfect).summary["AP"] == pytest.approx(1.0)
    # Were boxes put back into the images with sides swapped, the evaluator would notice before it printed a number.
    with pytest.raises(CheckFailed, match=r"AP 0\.\d+"):
        swap(task).summarize(real)


def swap(task: DetectionTask) -> DetectionTask:
    swapped = copy.copy(task)
    swapped.detections = lambda outputs: task.detections(  # type: ignore[method-assign]
        {**outputs, "image_sizes": outputs["image_sizes"][:, ::-1]}
    )
    return swapped


def test_a_net_that_broke_has_a_loss_that_says_so(scene_records: Path) -> None:
    task = task_of(scene_records)
    outputs = outputs_of(task)
    broken = {**outputs, "losses": np.full_like(outputs["losses"], np.nan)}
    assert np.isnan(task.summarize(broken).summary["loss"])


def test_samples_show_the_boxes(scene_records: Path) -> None:
    task = task_of(scene_records)
    images = task.sample_images(16)
    assert images.shape == (4, 64, 64, 3)
    assert (images == [0, 255, 0]).all(axis=-1).any()
    assert isinstance(first_batch(task), DetectionBatch)


@pytest.mark.parametrize("recipe", ["lite", "anchor-free"])
def test_weights_to_start_from(scene_records: Path, recipe: str) -> None:
    task = task_of(scene_records, recipe=recipe)
    weights = {name: weight.numpy() for name, weight in task.make_model().weights.items()}
    info = task.model_info()
    assert task.initial_weights("m", info, weights).keys() == weights.keys()
    others = task.initial_weights("m", {**info, "labels": ["1", "2"]}, weights)
    assert {name.split("/")[1] for name in weights.keys() - others.keys()} == {"ClassPredictor"}
    prefix = "FeatureExtractor/"
    classifier = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    backbone = task.initial_weights("m", {**info, "task": "classification"}, classifier)
    assert backbone
    assert all("/fpn/" not in name and name in weights for name in backbone)
    with pytest.raises(CheckpointError, match="16 channels"):
        task.initial_weights("m", {**info, "detection": {**info["detection"], "channels": 16}}, weights)
    with pytest.raises(CheckpointError, match="lacks weights of the net"):
        task.initial_weights("m", {**info, "task": "classification"}, {})
