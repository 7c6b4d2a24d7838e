"""The whole detector learns: a handful of generated images is known by heart."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data_prep.coco import prepare_coco
from data_prep.options import CocoOptions
from data_prep.shapes import write_shapes_coco
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.tasks.detection import DetectionTask
from mnasnet_cli.training.evaluator import Evaluator
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimization.optimizers import Optimizer
from mnasnet_cli.training.steps import TrainSteps

IMAGES, PIXELS = 8, 128
SETTINGS = (
    "model.variant=small", "model.batch_norm_decay=0.9", f"data.image_size={PIXELS}",
    "data.augment.crop_area=[1.0,1.0]", "data.augment.color_jitter=0", f"training.batch_size={IMAGES}",
    "training.ema_decay=0", "detection.channels=48", "optimizer.weight_decay=0", "optimizer.betas=[0.9,0.95]",
)  # fmt: skip


@pytest.fixture
def same_images(tmp_path: Path) -> Path:
    """Records whose validation images are the training images."""
    source = tmp_path / "source"
    write_shapes_coco(source, train=IMAGES, val=1, size=PIXELS, classes=3)
    shutil.rmtree(source / "val2017")
    shutil.copytree(source / "train2017", source / "val2017")
    annotations = source / "annotations"
    shutil.copy(annotations / "instances_train2017.json", annotations / "instances_val2017.json")
    prepare_coco(source, tmp_path / "records", CocoOptions(train_shards=1, val_shards=1, workers=1))
    return tmp_path / "records"


@pytest.mark.slow
@pytest.mark.parametrize("steps", [200])
def test_eight_images_are_known_by_heart(same_images: Path, steps: int) -> None:
    tf.random.set_seed(0)
    task = DetectionTask(load_config("lite", task="detection", assignments=SETTINGS), same_images)
    model = task.make_model()
    optimizer = Optimizer(task.config.optimizer, model.trainable, model.regularized)
    # Mirrored or not, in turns: evaluation sees the images as they are.
    epochs = [next(iter(task.train_batches(epoch, PIXELS, 0, Share(IMAGES)))) for epoch in range(4)]
    batches = tf.data.Dataset.from_tensors(epochs[0])
    for batch in epochs[1:]:
        batches = batches.concatenate(tf.data.Dataset.from_tensors(batch))
    iterator = iter(batches.repeat())
    train = TrainSteps(task, model, optimizer, None, FinetunePlan(task.config, model.trainable, 1))
    losses: list[float] = []
    while len(losses) < steps:
        rates = tf.fill([50], 0.004 if len(losses) < steps * 0.7 else 0.0005)
        outcome = train(iterator, tf.constant(len(losses), tf.int64), rates, tf.zeros([50]), tf.zeros([1]))
        losses += outcome.losses.numpy()[:50, 0].tolist()
        print(len(losses), losses[-1])
    assert np.mean(losses[-10:]) < 0.3 < 2.0 < losses[0]
    summary = Evaluator(task, model, None, batch_size=4)(IMAGES).summary
    print(summary)
    assert summary["AP"] >= 0.9
