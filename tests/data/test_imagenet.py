"""ImageNet records to batches: an order and an augmentation from the seed alone, every image once."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.data import imagenet
from mnasnet_cli.data.imagenet import ClassificationBatch, ImagenetRecords, class_index
from mnasnet_cli.data.pipeline import PADDING, Share
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.tfrecord import encode_record, read_records

SIZE, BATCH, TRAIN, VALIDATION = 32, 20, 96, 20
INPUT = dataclasses.replace(load_config("quick").preprocessing, image_size=SIZE)
EVERYTHING = (
    "data.augment.mixup=0.5", "data.augment.cutmix=1.0", "data.augment.erasing=0.5", "data.augment.color_jitter=0.3",
    "data.augment.rand_augment_layers=1",
)  # fmt: skip


def records_of(directory: Path, *assignments: str) -> ImagenetRecords:
    settings = [f"training.batch_size={BATCH}", "data.shuffle_buffer=40", *assignments]
    return ImagenetRecords(directory, load_config("quick", assignments=settings))


records_once = functools.cache(records_of)  # its functions are traced once


def train(
    directory: Path, *assignments: str, epoch: int = 0, skip: int = 0, share: Share | None = None
) -> list[ClassificationBatch]:
    batches = records_once(directory, *assignments).train_batches(epoch, SIZE, skip, share or Share(BATCH))
    return [ClassificationBatch(*(value.numpy() for value in batch)) for batch in batches]


def same(one: ClassificationBatch, two: ClassificationBatch) -> bool:
    return all((a == b).all() for a, b in zip(one, two, strict=True))


@pytest.fixture(scope="module")
def plain(shape_records: Path) -> list[ClassificationBatch]:
    """The batches of epoch 0 with the augmentation of the recipe."""
    return train(shape_records)


@pytest.fixture(scope="module")
def augmented(shape_records: Path) -> list[ClassificationBatch]:
    """The batches of epoch 3 with every augmentation."""
    return train(shape_records, *EVERYTHING, epoch=3)


def test_batches_are_not_autotuned(shape_records: Path) -> None:
    """An iterator of TensorFlow 2.21 ends only when its autotuner wakes, which takes seconds after an epoch."""
    records = records_once(shape_records)
    for dataset in (records.train_batches(0, SIZE, 0, Share(BATCH)), records.eval_batches(INPUT, Share(BATCH))):
        assert dataset.options().autotune.enabled is False


def test_batches_are_whole_and_have_the_promised_shapes(plain: list[ClassificationBatch]) -> None:
    assert len(plain) == TRAIN // BATCH
    for batch in plain:
        assert batch.images.shape == (BATCH, SIZE, SIZE, 3)
        assert batch.images.dtype == np.float32
        assert 0 <= batch.images.min() <= batch.images.max() <= 255.001
        assert (batch.labels.dtype, batch.labels.shape) == (np.int32, (BATCH,))
        assert set(batch.labels.tolist()) <= set(range(4))
        assert not batch.mixed_weights.any()
    assert np.concatenate([batch.positions for batch in plain]).tolist() == list(range(80))


def test_an_epoch_is_the_same_again_and_another_one_is_not(
    shape_records: Path, augmented: list[ClassificationBatch]
) -> None:
    again, other = (train(shape_records, *EVERYTHING, epoch=epoch) for epoch in (3, 4))
    assert all(same(a, b) for a, b in zip(augmented, again, strict=True))
    assert any((a.labels != b.labels).any() for a, b in zip(augmented, other, strict=True))
    seeded = train(shape_records, "training.seed=7", epoch=3)
    assert any((a.labels != b.labels).any() for a, b in zip(augmented, seeded, strict=True))


def test_epochs_share_what_was_traced(shape_records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[tf.Tensor] = []
    shape = imagenet.image_shape
    monkeypatch.setattr(imagenet, "image_shape", lambda encoded: traced.append(encoded) or shape(encoded))
    records = records_of(shape_records)
    for epoch in range(2):
        records.train_batches(epoch, SIZE, 0, Share(BATCH))
    assert len(traced) == 1


def test_what_is_skipped_changes_nothing_of_the_rest(shape_records: Path, augmented: list[ClassificationBatch]) -> None:
    rest = train(shape_records, *EVERYTHING, epoch=3, skip=2 * BATCH)
    assert len(rest) == len(augmented) - 2
    assert all(same(a, b) for a, b in zip(augmented[2:], rest, strict=True))


def test_two_processes_share_out_the_epoch(shape_records: Path, plain: list[ClassificationBatch]) -> None:
    halves = [train(shape_records, share=Share(BATCH // 2, index, 2)) for index in range(2)]
    for batch, *parts in zip(plain, *halves, strict=True):
        positions = np.concatenate([part.positions for part in parts])
        order = np.argsort(positions)
        assert (positions[order] == batch.positions).all()
        assert (np.concatenate([part.images for part in parts])[order] == batch.images).all()


def test_classes_are_mixed_within_the_epoch(plain: list[ClassificationBatch]) -> None:
    assert all(len(set(batch.labels.tolist())) > 1 for batch in plain)


def test_names_are_those_of_the_positions(shape_records: Path, plain: list[ClassificationBatch]) -> None:
    records = records_of(shape_records)
    names = records.train_filenames(0, range(BATCH))
    # n90000003_00012.JPEG is of class 3, the third.
    assert [int(name[1:9]) - 90_000_001 for name in names] == plain[0].labels.tolist()


def test_mixing_says_whose_label_and_how_much(shape_records: Path, plain: list[ClassificationBatch]) -> None:
    for option in ("mixup", "cutmix"):
        mixed = train(shape_records, f"data.augment.{option}=1.0")[0]
        assert (mixed.mixed_labels == mixed.labels[::-1]).all()
        weight = mixed.mixed_weights[0]
        assert (mixed.mixed_weights == weight).all()
        if option == "mixup":
            expected = (1 - weight) * plain[0].images + weight * plain[0].images[::-1]
            np.testing.assert_allclose(mixed.images, expected, atol=0.01)


@pytest.mark.parametrize(("batch_size", "processes"), [(1, 1), (20, 1), (7, 3), (64, 3)])
def test_evaluation_sees_every_image_once(shape_records: Path, batch_size: int, processes: int) -> None:
    records = records_once(shape_records)
    positions, labels, lengths = [], [], []
    for index in range(processes):
        batches = list(records.eval_batches(INPUT, Share(batch_size, index, processes)))
        lengths.append(len(batches))
        for batch in batches:
            assert batch.images.shape == (batch_size, SIZE, SIZE, 3)
            positions += batch.positions.numpy().tolist()
            labels += batch.labels.numpy().tolist()
    assert len(set(lengths)) == 1  # or a process would wait for the others
    real = [position for position in positions if position != PADDING]
    assert sorted(real) == list(range(VALIDATION))
    assert [label == PADDING for label in labels] == [position == PADDING for position in positions]
    assert sorted(label for label in labels if label != PADDING) == sorted([0, 1, 2, 3] * 5)


def test_a_process_evaluates_neighbours(shape_records: Path) -> None:
    batches = records_once(shape_records).eval_batches(INPUT, Share(4, 1, 3))
    assert [batch.positions.numpy().tolist() for batch in batches] == [[6, 7, 8, 9], [10, 11, 12, -1]]


def test_runs_that_began_with_a_buffer_keep_it(shape_records: Path) -> None:
    buffered = "data.order=buffer"
    plain = train(shape_records, buffered, epoch=1)
    assert np.concatenate([batch.positions for batch in plain]).tolist() == list(range(80))
    rest = train(shape_records, buffered, epoch=1, skip=2 * BATCH, share=Share(BATCH // 2, 1, 2))
    assert (rest[0].images == plain[2].images[1::2]).all()
    names = records_once(shape_records, buffered).train_filenames(1, [0, 25])
    assert [int(name[1:9]) - 90_000_001 for name in names] == [plain[0].labels[0], plain[1].labels[5]]


def test_compressed_records_of_others_are_read_as_a_whole(shape_records: Path, tmp_path: Path) -> None:
    plain = records_of(shape_records, "data.order=buffer")
    for shard in [path for path in shape_records.iterdir() if "-of-" in path.name]:
        (tmp_path / shard.name).write_bytes(gzip.compress(shard.read_bytes()))
    shutil.copy(shape_records / "labels.txt", tmp_path)
    packed = records_of(tmp_path)
    assert packed.train_examples == TRAIN
    assert packed.train_filenames(0, range(BATCH)) == plain.train_filenames(0, range(BATCH))
    assert packed.eval_records([0, 7]) == plain.eval_records([0, 7])
    batches = [batch for index in range(2) for batch in packed.eval_batches(INPUT, Share(5, index, 2))]
    assert sorted(position for batch in batches for position in batch.positions.numpy()) == list(range(VALIDATION))
    shard = next(shape_records.glob("train-*"))
    shutil.copy(shard, tmp_path)
    with pytest.raises(DataError, match=rf"train-.* is compressed with gzip and {shard.name} is not; unpack all"):
        records_of(tmp_path).index("train")


def test_shards_that_miss_records_are_named(shape_records: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shape_records, tmp_path / "copy"))
    shard = copy / "train-00001-of-00004"
    shard.write_bytes(b"".join(encode_record(record) for record in list(read_records(shard))[:-1]))
    with pytest.raises(DataError, match="train-00001-of-00004 holds 23 records, but 24 were written; remove the file"):
        train(copy)


def test_evaluation_records_are_found_by_their_position(shape_records: Path) -> None:
    records = records_once(shape_records)
    batch = next(iter(records.eval_batches(INPUT, Share(VALIDATION))))
    found = records.eval_records([0, 7])
    for position in (0, 7):
        name, content = found[position]
        assert int(name[1:9]) - 90_000_001 == batch.labels.numpy()[position]
        assert content.startswith(b"\xff\xd8")


def test_labels_are_numbered_from_0_and_others_refused() -> None:
    assert class_index(tf.constant(1, tf.int64), 4).numpy() == 0
    assert class_index(tf.constant(4, tf.int64), 4).numpy() == 3
    for label in (0, 5):
        with pytest.raises(tf.errors.InvalidArgumentError):
            class_index(tf.constant(label, tf.int64), 4)


def test_the_fingerprint_changes_with_the_size_of_a_shard(shape_records: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shape_records, tmp_path / "copy"))
    assert records_of(copy).fingerprint == records_of(shape_records).fingerprint
    with (copy / "train-00001-of-00004").open("ab") as shard:
        shard.write(b"x")
    assert records_of(copy).fingerprint != records_of(shape_records).fingerprint


def test_a_batch_larger_than_the_data_set_is_an_error(shape_records: Path) -> None:
    assert records_of(shape_records, "training.batch_size=96").steps_per_epoch == 1
    with pytest.raises(DataError, match="96 training images, fewer than the batch size 98; lower it with --batch-size"):
        _ = records_of(shape_records, "training.batch_size=98").steps_per_epoch
