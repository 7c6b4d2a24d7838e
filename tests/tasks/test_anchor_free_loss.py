"""Detectors without anchors: their loss by hand, their options, and that they learn."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.data.coco import DetectionBatch
from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.geometry.distances import encode_distances
from mnasnet_cli.modules.postprocessing import level_anchors, select_boxes
from mnasnet_cli.nets.anchor_free import BinnedPredictions
from mnasnet_cli.nets.retinanet import Predictions
from mnasnet_cli.tasks.anchor_free_loss import anchor_free_loss
from mnasnet_cli.tasks.detection import DetectionTask
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimization.optimizers import Optimizer
from mnasnet_cli.training.steps import TrainSteps

pytestmark = pytest.mark.usefixtures("tiny_net")

SEED = tf.constant([0, 0])
CELLS = tf.constant([[0, 8 * i, 8, 8 * i + 8] for i in range(4)], tf.float32)
LEFT = [0.0, 0.0, 8.0, 16.0]


def batch_of(boxes: list, classes: list) -> DetectionBatch:
    nothing = tf.zeros([1], tf.int64)
    return DetectionBatch(
        tf.zeros([1, 8, 32, 3]), tf.constant([classes]), tf.constant([boxes]), nothing, nothing, tf.ones([1, 2])
    )


def options_of(**changes: object) -> DetectionConfig:
    return DetectionConfig(family="anchor-free", **changes)


def test_the_loss_by_hand() -> None:
    # Cell 0 predicts the box exactly, cell 1 its right half; both say 0.5. Distances from the centers at x 4 and 12.
    distances = [[0.5, 0.5, 0.5, 1.5], [0.5, 0.5, 0.5, 0.5], [1.0] * 4, [1.0] * 4]
    predictions = BinnedPredictions(tf.zeros([1, 4, 1]), tf.constant([distances]), tf.zeros([1, 4, 4, 4]))
    options = options_of(bins=4, iou_power=1.0, bins_weight=0.25)
    loss, weight = anchor_free_loss(predictions, batch_of([LEFT], [1]), CELLS, options)
    # Alignments 0.5 · 1 and 0.5 · 0.5, scaled to 1 and 0.5. All scores are 0.5: (y - 0.5)² ln 2 for each cell.
    classes = (0.25 + 0.0 + 0.25 + 0.25) * np.log(2)
    boxes = 2.0 * (1.0 * 0.0 + 0.5 * 0.5)  # 1 - GIoU: the box around both is the larger one
    of_bins = 0.25 * (1.0 + 0.5) * np.log(4)  # four bins that are equally likely
    assert weight.numpy().tolist() == [1.5]
    np.testing.assert_allclose(loss, [classes + boxes + of_bins], rtol=1e-5)
    overlaps = anchor_free_loss(predictions, batch_of([LEFT], [1]), CELLS, options_of(bins=4, quality="iou"))
    assert overlaps[1].numpy().tolist() == [1.5]


def test_regions_to_ignore_cost_nothing() -> None:
    predictions = Predictions(tf.zeros([1, 4, 1]), tf.zeros([1, 4, 4]))
    options = options_of(bins=0)
    ignored, weight = anchor_free_loss(predictions, batch_of([[0.0, 0.0, 8.0, 32.0]], [-1]), CELLS, options)
    assert (ignored.numpy().tolist(), weight.numpy().tolist()) == ([0.0], [0.0])
    padding, _ = anchor_free_loss(predictions, batch_of([[0.0, 0.0, 8.0, 32.0]], [0]), CELLS, options)
    np.testing.assert_allclose(padding, [4 * 0.25 * np.log(2)], rtol=1e-5)


@functools.cache
def task_of(directory: Path, *assignments: str) -> DetectionTask:
    """A task, made once: its functions are traced once."""
    settings = [
        "model.variant=tiny-backbone", "data.image_size=64", "training.batch_size=4", "detection.channels=8",
        "detection.depth=1", "finetune.freeze_norm=false", *assignments,
    ]  # fmt: skip
    return DetectionTask(load_config("anchor-free", task="detection", assignments=settings), directory)


def first_batch(task: DetectionTask) -> DetectionBatch:
    return next(iter(task.train_batches(0, 64, 0, Share(4))))


@pytest.mark.parametrize("assignments", [
    ("detection.assign=simota", "detection.class_loss=varifocal", "detection.bins=0"),
    ("detection.quality=iou", "detection.box_loss=ciou", "detection.focal_gamma=1.5", "detection.mixup=1"),
    pytest.param(
        ("detection.shared_levels=false", "detection.fusion=concat", "detection.top_level=6",
         "detection.hue_jitter=0.1"),
        marks=pytest.mark.variation,  # tests/nets has these nets
    ),
], ids=["losses", "qualities", "nets"])  # fmt: skip
def test_options_give_finite_losses_and_gradients(scene_records: Path, assignments: tuple[str, ...]) -> None:
    task = task_of(scene_records, *assignments)
    model = task.make_model()
    # Losses change no batch.
    batch = first_batch(task_of(scene_records) if "detection.class_loss=varifocal" in assignments else task)
    with tf.GradientTape() as tape:
        loss = task.train_loss(model, batch, SEED, None)
    gradients = tape.gradient(loss, model.trainable)
    assert np.isfinite(loss)
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients.values())
    outputs = task.eval_outputs(model, batch, None)
    assert float(tf.reduce_sum(outputs["losses"])) > 0


def test_a_step_computes_the_same_again(scene_records: Path) -> None:
    task = task_of(scene_records)
    model, batch = task.make_model(), first_batch(task)
    step = tf.function(lambda: task.train_loss(model, batch, SEED, None), autograph=False)
    assert step().numpy().tolist() == step().numpy().tolist()


def test_perfect_predictions_give_the_boxes_back(scene_records: Path) -> None:
    task = task_of(scene_records)
    batch, size = next(iter(task.eval_batches(Share(4)))), 64
    cells = np.concatenate(level_anchors(task.postprocessing, size))
    first = next(row for row in range(4) if (batch.class_targets[row] > 0).numpy().any())
    box, own = batch.box_targets[first, 0], int(batch.class_targets[first, 0])
    inside = int(np.argmin(np.abs((cells[:, :2] + cells[:, 2:]) / 2 - (box[:2] + box[2:]) / 2).sum(axis=1)))
    logits, distances = np.full([1, len(cells), 3], -9.0, np.float32), np.full([1, len(cells), 4], 0.1, np.float32)
    logits[0, inside, own - 1] = 3.0
    distances[0, inside] = encode_distances(box, cells[inside])
    found = select_boxes(tf.constant(logits), tf.constant(distances), size, task.postprocessing)
    np.testing.assert_allclose(found["detection_boxes"][0, 0] * size, np.clip(box, 0, size), atol=1e-3)
    assert int(found["detection_classes"][0, 0]) == task.records.info.category_ids[own - 1]


def test_weights_of_a_net_with_other_bins_are_refused(scene_records: Path) -> None:
    task = task_of(scene_records)
    info = task.model_info()
    with pytest.raises(CheckpointError, match=r"different detector \(anchor-free.*bins 16\).*bins 8\)"):
        task.initial_weights("m", {**info, "detection": {**info["detection"], "bins": 16}}, {})


@pytest.mark.slow
def test_four_images_are_known_by_heart(scene_records: Path) -> None:
    tf.random.set_seed(0)
    task = task_of(
        scene_records, "data.image_size=96", "model.variant=small", "model.width=0.35", "model.batch_norm_decay=0.9",
        "detection.channels=48", "detection.plain_epochs=1000", "optimizer.weight_decay=0", "training.ema_decay=0",
    )  # fmt: skip
    model = task.make_model()
    optimizer = Optimizer(task.config.optimizer, model.trainable, model.regularized)
    batch = next(iter(task.train_batches(0, 96, 0, Share(4))))
    iterator = iter(tf.data.Dataset.from_tensors(batch).repeat())
    train = TrainSteps(task, model, optimizer, None, FinetunePlan(task.config, model.trainable, 1))
    losses: list[float] = []
    for rate in (0.004, 0.004, 0.001):
        outcome = train(
            iterator, tf.constant(len(losses), tf.int64), tf.fill([50], rate), tf.zeros([50]), tf.zeros([1])
        )
        losses += outcome.losses.numpy()[:50].tolist()
    assert np.mean(losses[-10:]) < 0.3 < 1.5 < losses[0]
    outputs = task.eval_outputs(model, batch, None)
    found = {name: values.numpy() for name, values in outputs.items()}
    for row in range(4):
        real = batch.class_targets[row].numpy() > 0
        best = found["detection_boxes"][row][: real.sum()] * 96
        wanted = batch.box_targets[row].numpy()[real]
        distance = np.abs(best[:, None] - wanted[None]).max(axis=-1).min(axis=0)
        assert (distance < 2).all()
        scores = found["detection_scores"][row]
        assert scores[real.sum() - 1] > 0.7 > 0.3 > scores[real.sum()]
