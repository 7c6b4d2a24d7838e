"""Which devices a run uses: `tf.distribute` strategies, chosen from the environment."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.errors import ConfigError


def make_strategy() -> tf.distribute.Strategy:
    """Several machines where TF_CONFIG names them, a TPU where TPU_NAME does, else all GPUs, else the one device.

    Raises:
      ConfigError: TF_CONFIG is not what `tf.distribute` defines.
    """
    if _workers() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if os.environ.get("TPU_NAME"):
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        return tf.distribute.TPUStrategy(resolver)
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _workers() -> int:
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 1
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        workers = [*cluster.get("chief", []), *cluster.get("worker", [])]
        if not 0 <= int(task["index"]) < len(cluster[task["type"]]):
            raise ValueError(f"task {task['type']} {task['index']} is not in the cluster")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"TF_CONFIG is not valid ({error!r}); expected "
            '{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    return len(workers)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run directory."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return True
    has_chief = bool(resolver.cluster_spec().as_dict().get("chief"))
    return resolver.task_type == "chief" or (not has_chief and resolver.task_type == "worker" and resolver.task_id == 0)


def share_of(context: tf.distribute.InputContext, global_batch_size: int) -> Share:
    """This process's share of the examples, with the batch size of one replica."""
    return Share(
        context.get_per_replica_batch_size(global_batch_size),
        context.input_pipeline_id,
        context.num_input_pipelines,
    )


def check_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Raises ConfigError where a batch can't be split evenly over the replicas."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ConfigError(
            f"a batch of {batch_size} images can't be split evenly over {replicas} replicas; "
            f"take --batch-size {max(1, batch_size // replicas) * replicas}"
        )
