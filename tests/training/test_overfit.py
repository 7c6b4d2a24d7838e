"""The training overfits a few images within seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.tasks.classification import ClassificationTask
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimization.ema import MovingAverage
from mnasnet_cli.training.optimization.optimizers import Optimizer
from mnasnet_cli.training.steps import TrainSteps

SETTINGS = (
    "model.variant=tiny", "model.dropout=0", "model.batch_norm_decay=0.9", "data.image_size=32",
    "training.batch_size=16", "training.ema_decay=0.9", "training.label_smoothing=0", "optimizer.name=adamw",
    "optimizer.epsilon=1e-6", "optimizer.weight_decay=0",
    "training.batch_parts=1",  # each part would have other statistics than the batch that is evaluated
)  # fmt: skip


@pytest.mark.usefixtures("tiny_net")
@pytest.mark.parametrize("steps", [120])
def test_overfits_sixteen_images(shape_records: Path, steps: int) -> None:
    tf.random.set_seed(0)
    task = ClassificationTask(load_config("quick", assignments=SETTINGS), shape_records)
    model = task.make_model()
    optimizer = Optimizer(task.config.optimizer, model.trainable, model.regularized)
    average = MovingAverage(model.weights)
    batch = next(iter(task.train_batches(0, 32, 0, Share(16))))
    again = iter(tf.data.Dataset.from_tensors(batch).repeat())
    train = TrainSteps(task, model, optimizer, average, FinetunePlan(task.config, model.trainable, 1))
    losses: list[float] = []
    for _ in range(steps // 20):
        rates, decays = tf.fill([20], 0.005), tf.fill([20], 0.9)
        outcome = train(again, tf.constant(len(losses), tf.int64), rates, decays, tf.zeros([1]))
        losses += outcome.losses.numpy()[:20, 0].tolist()
    assert losses[0] > 1.0
    assert np.mean(losses[-10:]) < 0.02
    # Evaluation with moving statistics, and with averaged weights, must agree.
    for weights in (None, average.weights):
        outputs = task.eval_outputs(model, batch, weights)
        print(float(tf.reduce_mean(outputs["losses"])))
        assert (outputs["predictions"].numpy() == batch.labels.numpy()).all()
        assert float(tf.reduce_mean(outputs["losses"])) < 0.2
