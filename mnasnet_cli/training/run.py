"""A training run from a configuration: check the data, open the run directory, train, and explain errors."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli import __version__
from mnasnet_cli.checkpoints.files import CHECKPOINT_FOLDER, find_checkpoint, list_checkpoints
from mnasnet_cli.checkpoints.reader import read_checkpoint, read_info
from mnasnet_cli.config.net_table import net_label
from mnasnet_cli.config.schema import Config
from mnasnet_cli.console import begin
from mnasnet_cli.distributed.cluster import PeerLost, read_cluster, restart
from mnasnet_cli.distributed.rendezvous import meet
from mnasnet_cli.distributed.strategy import Processes, accelerator_names, check_batch_size, make_strategy
from mnasnet_cli.errors import CheckpointError, ConfigError, EnvironmentProblem, MnasnetError
from mnasnet_cli.records.shards import COMMANDS
from mnasnet_cli.runs.directory import RunDirectory, recorded_init
from mnasnet_cli.system.memory import keep_freed_memory
from mnasnet_cli.tasks.base import Task
from mnasnet_cli.tasks.failures import clear_errors
from mnasnet_cli.tasks.from_config import make_task
from mnasnet_cli.tracking.mlflow_run import connect, tracked
from mnasnet_cli.training.batch_size import resolve_batch_size
from mnasnet_cli.training.distillation.formats import FoundTeacher
from mnasnet_cli.training.distillation.teacher import describe_teacher, find_teacher, learn_from
from mnasnet_cli.training.divergence import DivergenceError
from mnasnet_cli.training.loop import Trainer
from mnasnet_cli.training.optimization.batch_parts import share_cores
from mnasnet_cli.training.page import write_page
from mnasnet_cli.training.pretrained import inherit_settings, start_from_scratch
from mnasnet_cli.training.signals import StopRequest
from mnasnet_cli.training.timing import Timer


def train(
    config: Config,
    data_dir: Path,
    run_dir: Path,
    *,
    fresh: bool = False,
    init: str | None = None,
    teacher: str | None = None,
    timer: Timer | None = None,
) -> dict[str, Any]:
    """Start or resume a training run and return its results, as in results.json.

    Args:
      data_dir: folder of records.
      run_dir: folder of the run; if it holds a run, that run is resumed.
      fresh: move an existing run aside and start over.
      init: a model whose weights to start from: a run directory or a checkpoint.
      teacher: a model whose answers a classifier learns, of any format; None: the one that the run remembers, if any.
      timer: the clock of the run, which began when the command did; None: it begins now.

    Raises:
      MnasnetError: a fault that the user can fix. If the run is new and has no checkpoint yet, its directory is
        removed, except after divergence.
      Stopped: SIGTERM or Ctrl-C; a checkpoint was saved.
    """
    timer = timer or Timer()
    share_cores(config.training.batch_parts)
    keep_freed_memory()
    cluster = read_cluster()
    init = init or (None if fresh else recorded_init(run_dir))
    config = inherit_settings(config, init, read_info(find_checkpoint(init))) if init else start_from_scratch(config)
    mlflow = connect(config) if cluster.chief else None
    begin(f"reading the records in {data_dir}")
    found = find_teacher(teacher, config, run_dir, fresh=fresh)
    config, chosen = resolve_batch_size(config, data_dir, None if fresh else run_dir, found, several=cluster.several)
    task = make_task(config, data_dir)
    advice = [chosen, *describe_teacher(found, task)]  # a teacher of other classes is refused here
    # Read before the run directory is created: missing or too few records must leave nothing behind.
    data = {"directory": str(data_dir), "fingerprint": task.data_fingerprint}
    _ = task.steps_per_epoch, task.has_eval_examples, task.model_info()
    slow = task.open_records()
    _check_frozen_weights(config, run_dir, init, fresh=fresh)
    if config.training.patience and not task.has_eval_examples:
        raise ConfigError(
            f"training.patience={config.training.patience} needs validation images, but {data_dir} has none; set "
            "it to 0, or write records with a validation split"
        )
    initial = _initial_weights(task, init) if init else {}
    if cluster.several:
        meet(cluster, _digest(config, data["fingerprint"], found.sha256 if found else ""))
    strategy = make_strategy()
    parts = config.training.accumulate_steps * config.training.batch_parts
    check_batch_size(strategy, config.training.batch_size // parts)
    processes = Processes(strategy)
    with processes.together("opened"):
        run = RunDirectory(
            run_dir, config, data, fresh=fresh, writer=processes.chief, init=init,
            teacher=found.record if found else None, accelerators=accelerator_names(),
        )  # fmt: skip
    for line in filter(None, advice):
        run.log(line)
    if slow:
        run.warn(slow)
    _advise(run, task, data_dir, from_scratch=not initial)
    with strategy.scope():
        return _train_in(run, task, initial, found, processes, mlflow, timer)


def _train_in(
    run: RunDirectory,
    task: Task,
    initial: Mapping[str, np.ndarray],
    teacher: FoundTeacher | None,
    processes: Processes,
    mlflow: tuple[Any, str] | None,
    timer: Timer,
) -> dict[str, Any]:
    """Train in an open run directory, close it, and return the results. A run without a checkpoint is removed."""
    keep = False
    try:
        begin("building the net")
        with StopRequest() as stop, clear_errors(task), tracked(mlflow, run, task.config) as tracker:
            learn_from(teacher, task)
            trainer = Trainer(task, run, initial, stop, timer)
            if tracker:
                trainer.after_epoch = tracker.send_metrics
            with contextlib.closing(trainer.checkpoints):
                results = trainer.train()
                if processes.chief:
                    write_page(run, task, trainer.evaluation, results["steps"])
                run.complete(timer.seconds, timer.cpu_seconds)
                if tracker:
                    tracker.end(results, "FINISHED")
                return results
    except BaseException as error:
        keep = isinstance(error, DivergenceError)  # its metrics show what happened
        if isinstance(error, MnasnetError):
            run.note(f"ended: {error}")
        with contextlib.suppress(EnvironmentProblem):  # the first failure is the one to tell
            run.write_time(timer.seconds, timer.cpu_seconds)
        raise
    finally:
        run.close(keep=keep or bool(list_checkpoints(run.path / CHECKPOINT_FOLDER)))


def _advise(run: RunDirectory, task: Task, data_dir: Path, *, from_scratch: bool) -> None:
    """Say what a new run could do better."""
    if task.scratch_note and from_scratch and not list_checkpoints(run.path / CHECKPOINT_FOLDER):
        run.log(task.scratch_note)
    if not task.has_eval_examples:
        run.warn(
            f"{data_dir} has no validation images: training measures no {task.metric}, and the best checkpoint is the "
            f"newest; a share becomes the validation split with `mnasnet {COMMANDS[task.config.dataset]} SOURCE OUT "
            "--val-fraction 0.1`"
        )


def train_with_restarts(
    config: Config,
    data_dir: Path,
    run_dir: Path,
    *,
    fresh: bool = False,
    init: str | None = None,
    teacher: str | None = None,
    timer: Timer | None = None,
) -> dict[str, Any]:
    """Run `train` in a program that does nothing else.

    If another process of the run is lost, this process starts its own command line again, waits for the others, and
    resumes from the last checkpoint.
    """
    session = Timer()
    try:
        return train(config, data_dir, run_dir, fresh=fresh, init=init, teacher=teacher, timer=timer)
    except PeerLost as error:
        restart(error, session.seconds)


def _check_frozen_weights(config: Config, run_dir: Path, init: str | None, *, fresh: bool) -> None:
    """Raise ConfigError if frozen layers would keep random weights."""
    resumes = not fresh and list_checkpoints(run_dir / CHECKPOINT_FOLDER)
    if config.finetune.freeze and not init and not resumes:
        flag = "--backbone MODEL or --init MODEL" if config.task == "detection" else "--init MODEL"
        raise ConfigError(
            f"finetune.freeze={config.finetune.freeze} would freeze random weights; name a trained model with {flag}, "
            "or choose a recipe that trains the whole net (--config quick)"
        )


def _digest(config: Config, *digests: str) -> str:
    """A digest of everything that must be the same in all processes of a run: `digests` of records and teacher."""
    return hashlib.sha256(f"{__version__} {config.to_yaml()} {' '.join(digests)}".encode()).hexdigest()


def _initial_weights(task: Task, init: str) -> dict[str, np.ndarray]:
    """Return the weights that the task starts from, out of the model `init`.

    Raises:
      CheckpointError: it has another variant or width, or its weights do not fit.
    """
    saved = read_checkpoint(find_checkpoint(init))
    expected, found = ((net_label(info), info["width"]) for info in (task.model_info(), saved.info))
    if found != expected:
        flag = "without --variant, with" if saved.info.get("table") else f"with --variant {found[0]}"
        raise CheckpointError(
            f"{init} holds {found[0]} at width {found[1]:g}, but this run trains {expected[0]} at width "
            f"{expected[1]:g}; start it {flag} --width {found[1]:g}"
        )
    return task.initial_weights(init, saved.info, saved.weights)
