"""The `tf.distribute` strategy of a run from its environment, and the communication between its processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.data.pipeline import Share
from mnasnet_cli.distributed.cluster import Cluster, PeerLost, read_cluster
from mnasnet_cli.errors import ConfigError, EnvironmentProblem, MnasnetError, first_line
from mnasnet_cli.modules.slim_module import MOVING_STATISTICS

_JOIN_SECONDS = 120  # for TensorFlow's servers to connect, once all processes have met
_EXCHANGE_MILLISECONDS = 300_000


def make_strategy() -> tf.distribute.Strategy:
    """Return the strategy: that of the cluster if there is one, of the TPU of TPU_NAME, else of all GPUs or the CPU.

    Raises:
      ConfigError: TF_CONFIG or Slurm's variables are not valid.
      EnvironmentProblem: TPU_NAME names a TPU that can't be used.
      PeerLost: another process ended while they connected.
    """
    cluster, empty = read_cluster(), not os.environ.get("TF_CONFIG", "").strip()
    if cluster.several:
        if empty:
            os.environ["TF_CONFIG"] = cluster.tf_config()  # MultiWorkerMirroredStrategy reads it, also after a restart
        return _join()
    if empty:
        os.environ.pop("TF_CONFIG", None)  # TensorFlow would fail to parse an empty one
    if os.environ.get("TPU_NAME"):
        return _connect_tpu(os.environ["TPU_NAME"])
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def accelerator_names() -> list[str]:
    """Return the names of this process's GPUs, such as "NVIDIA H200", and the TPU's address; [] on a CPU."""
    devices = tf.config.list_physical_devices("GPU")
    names = [str(tf.config.experimental.get_device_details(device).get("device_name", "GPU")) for device in devices]
    return [*names, f"TPU {os.environ['TPU_NAME']}"] if os.environ.get("TPU_NAME") else names


def _connect_tpu(name: str) -> tf.distribute.Strategy:
    try:
        return tf.distribute.TPUStrategy(tf.distribute.cluster_resolver.TPUClusterResolver.connect(name))
    except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
        raise EnvironmentProblem(
            f"the TPU {name!r} of TPU_NAME can't be used ({first_line(error)}); "
            "unset TPU_NAME to train on GPUs or the CPU"
        ) from error


def _join() -> tf.distribute.Strategy:
    """Return the strategy over all processes, which have just met."""
    # If one of them dies now, TensorFlow waits for it forever and ignores other signals.
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_JOIN_SECONDS)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise PeerLost(f"joining the other processes failed ({str(error).splitlines()[0]})") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def is_lost_peer(error: Exception) -> bool:
    """Return whether TensorFlow raised this because another process of the run ended or can't be reached."""
    if not isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        return False
    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)
    return isinstance(error, lost) or "ollective ops is aborted" in str(error)


class Processes:
    """The processes that train together. With a single process, the methods do nothing.

    All processes must call each method at the same place of the program.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._cluster = read_cluster() if several else Cluster()
        self._strategy = strategy
        self.chief, self.several = self._cluster.chief, self._cluster.several

    def exchange(self, topic: str, text: str) -> list[str]:
        """Send a text and return the texts of all processes by rank. A topic can be used once.

        Raises:
          PeerLost: one of the processes is gone.
        """
        if not self.several:
            return [text]
        from tensorflow.python.eager import context as internal  # the coordination service has no public name

        service = internal.context()
        try:
            service.set_config_key_value(f"mnasnet/{topic}/{self._cluster.rank}", text)
            return [
                service.get_config_key_value(f"mnasnet/{topic}/{rank}", _EXCHANGE_MILLISECONDS)
                for rank in range(len(self._cluster.addresses))
            ]
        except tf.errors.OpError as error:
            raise PeerLost(f"another process of the run is gone ({error.message.splitlines()[0]})") from error

    @contextlib.contextmanager
    def together(self, topic: str) -> Iterator[None]:
        """Wait for all processes at the end of the block. An error in one of them ends the others with its message."""
        try:
            yield
        except MnasnetError as error:
            self.exchange(topic, str(error) or "unknown reason")
            raise
        for address, message in zip(self._cluster.addresses, self.exchange(topic, ""), strict=True):
            if message:
                raise EnvironmentProblem(f"the process at {address} ended: {message}")

    def broadcast(self, variables: Mapping[str, tf.Variable]) -> None:
        """Copy the float32 variables of the chief's first replica to all replicas."""
        if not self.several:
            return
        copies = [self._strategy.experimental_local_results(variable) for variable in variables.values()]
        flat = tf.concat([tf.reshape(local[0], [-1]) for local in copies], 0)

        def from_chief(values: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = tf.equal(tf.cast(context.replica_id_in_sync_group, tf.int32), 0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, values, tf.zeros_like(values)))

        summed = tf.function(lambda values: self._strategy.run(from_chief, args=(values,)), autograph=False)(flat)
        flat = self._strategy.experimental_local_results(summed)[0]
        parts = tf.split(flat, [int(local[0].shape.num_elements()) for local in copies])
        for local, part in zip(copies, parts, strict=True):
            for variable in local:
                variable.assign(tf.reshape(part, variable.shape))

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Return the values [n, …] of all processes, concatenated to [sum of n, …]."""
        if not self.several:
            return values
        replicas = len(self._strategy.extended.worker_devices)
        numeric = values.astype(np.int32) if values.dtype == bool else values
        local = [tf.constant(part) for part in np.array_split(numeric, replicas)]
        distributed = self._strategy.experimental_distribute_values_from_function(
            lambda context: local[context.replica_id_in_sync_group % replicas]
        )
        return np.asarray(self._strategy.gather(distributed, axis=0)).astype(values.dtype)

    def check_identical(self, topic: str, variables: Mapping[str, tf.Variable]) -> str:
        """Check that all replicas of all processes hold the same values, and return their SHA-256.

        Raises:
          EnvironmentProblem: the values differ. This is a fault of a machine, of TensorFlow or of this program.
        """
        replicas = range(len(self._strategy.experimental_local_results(next(iter(variables.values())))))
        own = [_digest([self._strategy.experimental_local_results(v)[i] for v in variables.values()]) for i in replicas]
        found = {digest for text in self.exchange(topic, " ".join(own)) for digest in text.split()}
        if len(found) > 1:
            raise EnvironmentProblem(
                f"the replicas of the run hold {len(found)} different sets of weights; please report this as a bug"
            )
        return found.pop()


def _digest(values: Sequence[tf.Variable]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(np.ascontiguousarray(value.numpy()).tobytes())
    return digest.hexdigest()


def mean_statistics(weights: Mapping[str, tf.Variable]) -> dict[str, Any]:
    """Return batch norm's moving statistics by name, averaged over the replicas' copies; {} for a single replica.

    This is one reduction for all of them. Reading the variables one by one would be a round over the network for each.
    """
    strategy = tf.distribute.get_strategy()
    statistics = {name: weight for name, weight in weights.items() if name.endswith(MOVING_STATISTICS)}
    if strategy.num_replicas_in_sync == 1 or not statistics:
        return {}

    def mean() -> list[tf.Tensor]:
        local = [tf.identity(statistic) for statistic in statistics.values()]
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, local)

    return dict(zip(statistics, strategy.run(mean), strict=True))


def share_of(context: tf.distribute.InputContext, global_batch_size: int) -> Share:
    """Return this process's share of the examples, with the batch size of one replica."""
    return Share(
        context.get_per_replica_batch_size(global_batch_size),
        context.input_pipeline_id,
        context.num_input_pipelines,
        context.num_replicas_in_sync // context.num_input_pipelines,
    )


def check_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Raise ConfigError if a batch can't be split evenly over the replicas."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ConfigError(
            f"a batch of {batch_size} images can't be split evenly over {replicas} replicas; "
            f"use --batch-size {max(1, batch_size // replicas) * replicas}"
        )
