"""Does the tasks of a search: measures, times trainings, trains and scores. Each runs in short-lived processes."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mnasnet_cli.runs.run_files import METRICS_FILE, read_metrics
from mnasnet_cli.searching.held_out import FOLDER
from mnasnet_cli.searching.latency import measuring
from mnasnet_cli.searching.latency.parts import Part
from mnasnet_cli.searching.plan import Plan
from mnasnet_cli.searching.processes import STOP_SECONDS, run_in_process
from mnasnet_cli.searching.tasks import Task, rung_of
from mnasnet_cli.system.files import open_lock, temporary_folder

TRAININGS = "trainings"
"""The folder of the run directories."""
NETS_OF_A_PROCESS = 6
"""That are converted by one process: the converter keeps about 40 MB of each."""
LOOK_SECONDS = 2.0
"""Between two looks at the metrics of a training."""
EVALUATION_EPOCHS = 0.3
"""What the batch norms and the evaluation at the end of a training take, in epochs."""
TIMED_LINES = 3
"""Lines of metrics, of 20 an epoch, after which the speed of a training is known."""


@dataclasses.dataclass(frozen=True)
class Workplace:
    """Where and how a process works.

    Attributes:
      run_dir: the folder of the search. data: the user's records.
      on_wait: called every half second, with the share of the running training that is done; None without one.
    """

    run_dir: Path
    data: Path
    on_wait: Callable[[float | None], None] = lambda share: None

    @property
    def records(self) -> Path:
        """The records of the search."""
        return self.run_dir / FOLDER

    def training(self, task: Task) -> Path:
        """Return the run directory of a training."""
        return self.run_dir / TRAININGS / task.key.removeprefix("train-")


def perform(task: Task, plan: Plan, place: Workplace) -> dict[str, Any]:
    """Do a task and return its result.

    Raises:
      MnasnetError: it failed. Stopped: SIGTERM or Ctrl-C; a training has saved a checkpoint.
    """
    began = time.monotonic()
    result = _FUNCTIONS[task.kind](task, plan, place)
    return {**result, "seconds": round(time.monotonic() - began, 1)}


def _measure_parts(task: Task, plan: Plan, place: Workplace) -> dict[str, Any]:
    parts = [Part(**part) for part in task.payload["parts"]]
    return _in_process(place, measuring.measure_parts, parts, plan.classes, plan.threads, plan.int8)


def _measure_nets(task: Task, plan: Plan, place: Workplace) -> dict[str, Any]:
    nets = [(net["table"], net["input_size"]) for net in task.payload["nets"]]
    with temporary_folder(place.run_dir) as folder:
        files: list[Path] = []
        for start in range(0, len(nets), NETS_OF_A_PROCESS):
            chunk = nets[start : start + NETS_OF_A_PROCESS]
            files += _in_process(
                place, measuring.convert_nets, chunk, plan.classes, plan.int8, folder / f"from-{start}"
            )
        return _in_process(place, measuring.measure_files, files, plan.threads)


def _time_trainings(task: Task, plan: Plan, place: Workplace) -> dict[str, Any]:
    """Return how long a training takes in each rung, from the first steps of one."""
    return {"by_rung": [_seconds_of(training, plan, place) for training in task.payload["trainings"]]}


def _seconds_of(training: Mapping[str, Any], plan: Plan, place: Workplace) -> float:
    """Start a training in a temporary folder, end it when its speed is known, and return how long the whole takes."""
    began = time.monotonic()
    with temporary_folder(place.run_dir) as folder:

        def look() -> None:
            place.on_wait(None)
            if len(read_metrics(folder / "run")) >= TIMED_LINES:
                raise _Timed

        try:
            run_in_process(train_net, plan, {**training, "last": False}, place.records, place.data, folder / "run",
                           on_wait=look, name="a training")  # fmt: skip
        except _Timed:
            pass
        else:
            return time.monotonic() - began
        first, *_, last = read_metrics(folder / "run")
        overhead = float(first.get("seconds", 0.0))
        steps, seconds = last["step"] - first["step"], float(last.get("seconds", 0.0)) - overhead
        whole = first_size_epochs(plan, training) * plan.train_images / plan.config["training"]["batch_size"]
        return overhead + seconds / max(steps, 1) * whole


def first_size_epochs(plan: Plan, training: Mapping[str, Any]) -> float:
    """Return how many epochs at the size of the first one take as long as a training with its evaluation."""
    config = plan.training_config("b1", None, 1.0, training["image_size"], rung=training["rung"], seed=0)
    first, *others = [float(config.image_size_at(epoch)) ** 2 for epoch in range(config.training.epochs)]
    return (first + math.fsum(others) + EVALUATION_EPOCHS * (others or [first])[-1]) / first


class _Timed(BaseException):  # ends a training like a signal
    pass


def _train(task: Task, plan: Plan, place: Workplace) -> dict[str, Any]:
    run = place.training(task)
    epochs = plan.rungs[task.payload["rung"]].epochs + EVALUATION_EPOCHS
    steps = epochs * (plan.train_images // plan.config["training"]["batch_size"])

    looked = share = 0.0

    def look() -> None:
        nonlocal looked, share
        if time.monotonic() - looked > LOOK_SECONDS:
            looked = time.monotonic()
            lines = read_metrics(run) if (run / METRICS_FILE).is_file() else []
            share = lines[-1]["step"] / max(steps, 1) if lines else 0.0
        place.on_wait(share)

    _wait_for_the_end_of(run)
    arguments = (plan, dict(task.payload), place.records, place.data, run)
    return dict(run_in_process(train_net, *arguments, on_wait=look, name=f"the training {run}"))


def _wait_for_the_end_of(run: Path) -> None:
    """Wait until a training is gone whose search was killed; it ends within a second."""
    ends = time.monotonic() + STOP_SECONDS
    while (run / ".lock").is_file() and time.monotonic() < ends:
        lock = open_lock(run / ".lock")
        if lock is not None:
            lock.close()
            return
        time.sleep(0.5)


def train_net(plan: Plan, training: Mapping[str, Any], records: Path, data: Path, run: Path) -> dict[str, Any]:
    """Train a net as `train-imagenet` does, in a process of its own; return its scores.

    Args:
      training: the payload of a task "train".
      records: of the search. data: those of the user, whose validation split scores the nets of the last rung.
    """
    os.environ["TF_CONFIG"] = "{}"  # processes that Slurm started share the search, not a training
    from mnasnet_cli.evaluation.classifier import evaluate_classifier
    from mnasnet_cli.searching.nets.inheritance import inherited_checkpoint
    from mnasnet_cli.training.divergence import DivergenceError
    from mnasnet_cli.training.run import train

    config = plan.training_config(
        training["variant"], training["table"], training["width"], training["image_size"], rung=training["rung"],
        seed=training["seed"],
    )  # fmt: skip
    try:
        with inherited_checkpoint(plan.init, plan.init_digest, config, records, run.parent) as init:
            results = train(config, records, run, init=init)
    except DivergenceError:
        return {"score": 0.0, "validation": 0.0 if training["last"] else None, "diverged": True}
    validation = evaluate_classifier(str(run), data)["top1"] if training["last"] else None
    return {"score": float(results["top1"]), "validation": validation, "diverged": False}


def remove_trainings(plan: Plan, results: Mapping[str, Any], place: Workplace) -> None:
    """Remove the run directories of trainings whose results are stored, unless they are of the last rung."""
    for run in (place.run_dir / TRAININGS).glob("*"):
        key = f"train-{run.name}"
        if key in results and rung_of(key) != len(plan.rungs) - 1:
            shutil.rmtree(run, ignore_errors=True)


def _in_process(place: Workplace, function: Callable[..., Any], *arguments: Any) -> Any:
    return run_in_process(function, *arguments, on_wait=lambda: place.on_wait(None), name="a measurement")


_FUNCTIONS: dict[str, Callable[[Task, Plan, Workplace], dict[str, Any]]] = {
    "parts": _measure_parts,
    "nets": _measure_nets,
    "time": _time_trainings,
    "train": _train,
}
