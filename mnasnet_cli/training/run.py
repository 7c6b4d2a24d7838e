"""A training run from a configuration: data checked, directory opened, task made, loop run, errors made clear."""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli import __version__
from mnasnet_cli.checkpoints.files import CHECKPOINT_FOLDER, find_checkpoint, list_checkpoints
from mnasnet_cli.checkpoints.reader import read_checkpoint, read_info
from mnasnet_cli.config.schema import Config
from mnasnet_cli.distributed.cluster import PeerLost, read_cluster, start_again
from mnasnet_cli.distributed.rendezvous import meet
from mnasnet_cli.distributed.strategy import Processes, check_batch_size, make_strategy
from mnasnet_cli.errors import CheckpointError, ConfigError, MnasnetError
from mnasnet_cli.runs.directory import RunDirectory, recorded_init
from mnasnet_cli.tasks.base import Task
from mnasnet_cli.tasks.classification import ClassificationTask
from mnasnet_cli.tasks.detection import DetectionTask
from mnasnet_cli.tasks.failures import clear_errors
from mnasnet_cli.training.batch_parts import share_cores
from mnasnet_cli.training.divergence import NotFinite
from mnasnet_cli.training.loop import Trainer
from mnasnet_cli.training.pretrained import inherit_settings, start_from_scratch
from mnasnet_cli.training.signals import StopRequest


def make_task(config: Config, data_dir: Path) -> Task:
    """The job that a configuration is for."""
    return DetectionTask(config, data_dir) if config.task == "detection" else ClassificationTask(config, data_dir)


def train(
    config: Config, data_dir: Path, run_dir: Path, *, fresh: bool = False, init: str | None = None
) -> dict[str, Any]:
    """Trains, or goes on training, and returns the results (those of results.json).

    Args:
      config: what to train and how.
      data_dir: folder of records.
      run_dir: where the run is kept; one that is there is gone on with.
      fresh: move an older run aside and begin anew.
      init: a model whose weights to start from.

    Raises:
      MnasnetError: every fault that a user can mend. A run that was begun here is removed again where it has no
        checkpoint yet, unless its loss became infinite or NaN.
      Stopped: SIGTERM or Ctrl-C, and a checkpoint was saved.
    """
    share_cores(config.training.batch_parts)
    cluster = read_cluster()
    init = init or (None if fresh else recorded_init(run_dir))
    config = inherit_settings(config, init, read_info(find_checkpoint(init))) if init else start_from_scratch(config)
    task = make_task(config, data_dir)
    # Asked for before the directory is made: missing or too few records must leave nothing behind.
    data = {"directory": str(data_dir), "fingerprint": task.data_fingerprint}
    _ = task.steps_per_epoch, task.eval_examples, task.model_info()
    _check_start(config, run_dir, init, fresh=fresh)
    initial = _initial_weights(task, init) if init else {}
    if cluster.several:
        meet(cluster, _digest(config, data["fingerprint"]))
    strategy = make_strategy()
    at_once = config.training.accumulate_steps * config.training.batch_parts
    check_batch_size(strategy, config.training.batch_size // at_once)
    processes = Processes(strategy)
    with processes.together("opened"):
        run = RunDirectory(run_dir, config, data, fresh=fresh, writer=processes.chief, init=init)
    if task.scratch_note and not initial and not list_checkpoints(run_dir / CHECKPOINT_FOLDER):
        run.log(task.scratch_note)
    keep = False
    try:
        with StopRequest() as stop, strategy.scope(), clear_errors(task):
            trainer = Trainer(task, run, initial, stop)
            with contextlib.closing(trainer.checkpoints):
                return trainer.train()
    except MnasnetError as error:
        keep = isinstance(error, NotFinite)  # its metrics say how it came to that
        run.note(f"ended: {error}")
        raise
    finally:
        run.close(keep=keep or bool(list_checkpoints(run_dir / CHECKPOINT_FOLDER)))


def train_or_start_again(
    config: Config, data_dir: Path, run_dir: Path, *, fresh: bool = False, init: str | None = None
) -> dict[str, Any]:
    """As `train`, for a program that does nothing else: where another process of the run is lost, this one starts its
    own command line again, waits for all to be there, and goes on from the last checkpoint."""
    began = time.monotonic()
    try:
        return train(config, data_dir, run_dir, fresh=fresh, init=init)
    except PeerLost as error:
        start_again(error, time.monotonic() - began)


def _check_start(config: Config, run_dir: Path, init: str | None, *, fresh: bool) -> None:
    """Raises ConfigError where a part is to be kept as it begins, and that is at random."""
    goes_on = not fresh and list_checkpoints(run_dir / CHECKPOINT_FOLDER)
    if config.finetune.freeze and not init and not goes_on:
        flag = "--backbone MODEL or --init MODEL" if config.task == "detection" else "--init MODEL"
        raise ConfigError(
            f"finetune.freeze keeps {config.finetune.freeze} as it begins, which is at random without {flag}; name a "
            "trained model, or choose a recipe that trains the whole net (--config quick)"
        )


def _digest(config: Config, fingerprint: str) -> str:
    """Of all that must be alike in the processes of a run."""
    return hashlib.sha256(f"{__version__} {config.to_yaml()} {fingerprint}".encode()).hexdigest()


def _initial_weights(task: Task, init: str) -> dict[str, np.ndarray]:
    """Those weights of `init` that the task starts from.

    Raises:
      CheckpointError: it is another variant or width, or another net.
    """
    saved = read_checkpoint(find_checkpoint(init))
    wanted = task.model_info()
    ours, theirs = ((info["variant"], info["width"]) for info in (wanted, saved.info))
    if ours != theirs:
        raise CheckpointError(
            f"{init} holds {theirs[0]} at width {theirs[1]:g}, but the run is for {ours[0]} at width {ours[1]:g}; "
            f"start it with --variant {theirs[0]} --width {theirs[1]:g}"
        )
    return task.initial_weights(init, saved.info, saved.weights)
