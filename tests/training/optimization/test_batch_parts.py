"""Parts of a batch, computed side by side."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import tensorflow as tf

from mnasnet_cli.training.optimization.batch_parts import mean_loss, split_batch


class Batch(NamedTuple):
    x: tf.Tensor
    y: tf.Tensor


BATCH = Batch(tf.reshape(tf.range(24.0), [6, 4]), tf.range(6))


def test_parts_add_up_to_the_batch() -> None:
    parts = split_batch(BATCH, 3)
    assert [part.y.numpy().tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert tf.reduce_all(tf.concat([part.x for part in parts], 0) == BATCH.x)
    assert split_batch(BATCH, 1) == [BATCH]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_mean_over_the_parts_equals_the_loss_of_the_batch(parts: int) -> None:
    loss = mean_loss(lambda part, seed: tf.reduce_mean(part.x**2), BATCH, tf.constant([1, 2]), parts)
    assert float(loss) == pytest.approx(float(tf.reduce_mean(BATCH.x**2)))


def test_each_part_has_its_own_random_numbers() -> None:
    drawn: list[float] = []

    def loss_of(part: Batch, seed: tf.Tensor) -> tf.Tensor:
        drawn.append(float(tf.random.stateless_uniform([], seed)))
        return tf.constant(0.0)

    mean_loss(loss_of, BATCH, tf.constant([1, 2]), 3)
    mean_loss(loss_of, BATCH, tf.constant([1, 2]), 1)
    assert len(set(drawn)) == 4
