"""The classification job: its loss, its evaluation, and what a checkpoint learns of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.data.imagenet import ClassificationBatch
from mnasnet_cli.errors import DataError
from mnasnet_cli.modules.classifier import is_classifier
from mnasnet_cli.tasks.classification import ClassificationTask, class_names
from mnasnet_cli.tasks.losses import smoothed_cross_entropy

LOGITS = tf.constant([[2.0, 1.0, 0.0, -1.0], [0.0, 3.0, 1.0, 0.5], [0.1, 0.2, 0.3, 0.4]])


def task_of(records: Path, *assignments: str) -> ClassificationTask:
    return ClassificationTask(load_config("quick", assignments=["data.image_size=32", *assignments]), records)


def fixed(logits: tf.Tensor) -> Any:
    """A model that always says the same."""
    return lambda images, **_: logits


def batch(labels: list[int], mixed: list[int] | None = None, weight: float = 0.0) -> ClassificationBatch:
    count = len(labels)
    return ClassificationBatch(
        tf.zeros([count, 32, 32, 3]),
        tf.constant(labels, tf.int32),
        tf.range(count, dtype=tf.int64),
        tf.constant(mixed or labels, tf.int32),
        tf.fill([count], weight),
    )


def test_the_loss_of_a_blend_is_the_blend_of_the_losses(shape_records: Path) -> None:
    task = task_of(shape_records, "data.augment.mixup=1.0", "training.label_smoothing=0.1")
    labels, mixed = [0, 1, 2], [2, 1, 0]
    found = task.train_loss(fixed(LOGITS), batch(labels, mixed, 0.25), tf.constant([0, 0]), None)
    own, others = (smoothed_cross_entropy(LOGITS, tf.constant(x), 0.1).numpy() for x in (labels, mixed))
    assert float(found[0]) == pytest.approx((0.75 * own + 0.25 * others).mean())


def test_a_rare_class_weighs_more(shape_records: Path) -> None:
    task = task_of(shape_records, "data.class_weights=balanced", "training.label_smoothing=0")
    info = task.records.info
    counts = dict(zip(task.labels, [60, 20, 20, 0], strict=True))
    train = dataclasses.replace(info.splits["train"], per_class=counts)
    task.records.__dict__["info"] = dataclasses.replace(info, splits={**info.splits, "train": train})
    found = task.train_loss(fixed(LOGITS), batch([0, 1, 2]), tf.constant([0, 0]), None)
    losses = smoothed_cross_entropy(LOGITS, tf.constant([0, 1, 2]), 0.0).numpy()
    assert float(found[0]) == pytest.approx((losses * [100 / 180, 100 / 60, 100 / 60]).mean())


def test_class_weights_need_the_number_of_images(shape_records: Path) -> None:
    task = task_of(shape_records, "data.class_weights=balanced")
    info = task.records.info
    train = dataclasses.replace(info.splits["train"], per_class={})
    task.records.__dict__["info"] = dataclasses.replace(info, splits={**info.splits, "train": train})
    with pytest.raises(DataError, match=r"needs the number of images of each class.*prepare-imagenet"):
        _ = task.class_weights


def test_the_recipe_of_the_paper_on_few_images_names_others(shape_records: Path) -> None:
    assert task_of(shape_records).scratch_note == ""  # quick
    note = task_of(shape_records, "optimizer.name=rmsprop").scratch_note
    assert "--config quick" in note
    assert "--config finetune --init MODEL" in note


def test_images_are_normalised_by_the_data_sets_statistics(shape_records: Path) -> None:
    seen = []
    task = task_of(shape_records)
    images = tf.tile(tf.constant(task.config.data.mean), [1])[tf.newaxis, tf.newaxis, tf.newaxis]
    model = lambda images, **_: (seen.append(images.numpy()), LOGITS[:1])[1]  # noqa: E731
    task.eval_outputs(model, batch([0])._replace(images=images), None)  # type: ignore[arg-type]
    np.testing.assert_allclose(seen[0], 0.0, atol=1e-6)


def test_padding_is_marked_and_left_out(shape_records: Path) -> None:
    task = task_of(shape_records)
    parts = [task.eval_outputs(fixed(LOGITS), batch(labels), None) for labels in ([0, 1, 3], [1, 1, -1])]
    outputs = {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}
    # The split has 20 examples; make it 5 as here.
    info = task.records.info
    validation = dataclasses.replace(info.splits["validation"], examples=5)
    task.records.__dict__["info"] = dataclasses.replace(info, splits={**info.splits, "validation": validation})
    summary = task.summarize(outputs).summary
    # Said are 0, 1, 3, 0, 1: right for 0, 1, 3 and the second 1 of the last two.
    assert (summary["examples"], summary["top1"], summary["top5"]) == (5, 4 / 5, 1.0)
    rows = [0, 1, 2, 0, 1]
    losses = smoothed_cross_entropy(tf.gather(LOGITS, rows), tf.constant([0, 1, 3, 1, 1]), 0.0).numpy()
    assert summary["loss"] == pytest.approx(losses.mean())
    assert [row["examples"] for row in summary["per_class"]] == [1, 3, 0, 1]
    assert [row["top1"] for row in summary["per_class"]] == [1.0, 2 / 3, None, 1.0]


def test_missing_examples_are_an_error_not_a_smaller_number(shape_records: Path) -> None:
    task = task_of(shape_records)
    outputs = {name: value.numpy() for name, value in task.eval_outputs(fixed(LOGITS), batch([0, 1, 3]), None).items()}
    with pytest.raises(DataError, match="gave 3 of its 20 validation images"):
        task.summarize(outputs)


def test_a_checkpoint_learns_all_that_using_it_needs(shape_records: Path) -> None:
    info = task_of(shape_records, "model.variant=small", "model.width=0.5").model_info()
    assert (info["task"], info["variant"], info["width"]) == ("classification", "small", 0.5)
    assert info["labels"] == ["n90000001", "n90000002", "n90000003", "n90000004"]
    assert info["names"] == ["circle", "square", "triangle", "cross"]
    assert info["preprocessing"]["image_size"] == 32
    assert info["preprocessing"]["mean"] == [123.675, 116.28, 103.53]


def test_classes_without_names_have_their_numbers(shape_records: Path) -> None:
    info = dataclasses.replace(task_of(shape_records).records.info, synsets=(), texts=())
    assert class_names(info) == ["1", "2", "3", "4"]
    with pytest.raises(DataError, match=r"labels\.txt"):
        class_names(dataclasses.replace(info, synsets=("a", "b")))


def test_the_classifier_is_the_last_layer() -> None:
    assert is_classifier("Mnasnet/Conv2d_1c_1x1/weights")
    assert not is_classifier("Mnasnet/Conv_1/weights")
