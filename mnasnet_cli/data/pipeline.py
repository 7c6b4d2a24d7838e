"""What every input pipeline shares: the split of the work over processes, and options."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from mnasnet_cli.machine import core_count

CORES = core_count()
# Examples in the making: more than cores, for one that is done before those ahead of it waits for its turn.
PARALLEL_CALLS = 4 * CORES

# For the functions of `Dataset.map`: they need nothing of AutoGraph, which can't read a lambda of several lines.
plain = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True)
class Share:
    """Which part of the examples one process makes, and how many at a time."""

    batch_size: int
    index: int = 0
    count: int = 1
    replicas: int = 1
    """Devices of the process, each of which takes a batch of its own at the same time."""


def deterministic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset with its order fixed, and left alone by `tf.distribute`: each process already makes its own share."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)
