"""Trains a model from a recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.recipes import shipped_configs
from mnasnet_cli.config.schema import Config
from mnasnet_cli.config.task_names import DATASETS, TaskName, parse_task
from mnasnet_cli.errors import CheckpointError, ConfigError, nearest
from mnasnet_cli.training.timing import Timer

if TYPE_CHECKING:
    from mnasnet_cli.api.model import Model

DEFAULT_RECIPES: dict[TaskName, str] = {"classification": "paper", "detection": "retinanet"}

# The options that set a configuration key, and that key.
OPTION_KEYS = {
    "variant": "model.variant",
    "width": "model.width",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "image_size": "data.image_size",
    "freeze": "finetune.freeze",
    "precision": "training.precision",
    "seed": "training.seed",
}


class TrainOptions(TypedDict, total=False):
    """The options of `train` that set a configuration key; each is an option of `mnasnet train-imagenet`, too."""

    variant: str | os.PathLike[str] | None
    width: float | None
    epochs: int | None
    batch_size: int | Literal["auto"] | None
    image_size: int | None
    freeze: str | None
    precision: str | None
    seed: int | None


@dataclass(frozen=True)
class TrainedRun:
    """A training that has ended."""

    run_dir: Path
    """The folder of the run."""
    results: dict[str, Any] = field(repr=False)
    """What results.json holds: best_top1 or best_AP, the metrics of the last evaluation, steps, seconds, and more."""

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: loss, learning rate and speed by step, and the scores of each evaluation."""
        from mnasnet_cli.runs.run_files import read_metrics

        return [dict(line) for line in read_metrics(self.run_dir)]

    def model(self, *, best: bool = False) -> Model:
        """Open the newest checkpoint of the run, or with `best` the best one; see `load`."""
        from mnasnet_cli.api.model import load

        return load(self.run_dir, best=best)


@dataclass(frozen=True)
class PlannedRun:
    """What a training needs: the arguments of `training.run.train`."""

    config: Config
    data: Path
    run_dir: Path
    init: str | None
    teacher: str | None
    fresh: bool

    def arguments(self) -> dict[str, Any]:
        """Return the arguments by name."""
        names = {"config": self.config, "data_dir": self.data, "run_dir": self.run_dir}
        return {**names, "init": self.init, "teacher": self.teacher, "fresh": self.fresh}


def train(
    recipe: str | os.PathLike[str] | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    task: TaskName | None = None,
    init: str | os.PathLike[str] | None = None,
    teacher: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    settings: Mapping[str, Any] | None = None,
    **options: Unpack[TrainOptions],
) -> TrainedRun:
    """Train a classifier or a detector, or continue a run that exists.

    Args:
      recipe: name of a shipped recipe, such as "quick", or a YAML file; None: "paper", for a detector "retinanet". A
        run that exists keeps its own configuration if no recipe is named.
      data: folder of records; None: data/imagenet or data/coco.
      run_dir: folder of the run; None: runs/imagenet-VARIANT or runs/coco-VARIANT.
      task: "classification" or "detection"; None: that of the records.
      init: a run or a checkpoint to start from; for a detector also a classifier, as its backbone.
      teacher: a model of any format whose answers a classifier learns, besides the labels or in place of them.
      fresh: start over; an older run in the folder is moved aside.
      settings: dotted key → value, such as {"optimizer.name": "sgd"}; docs/reference/configuration.md has all keys.
      options: variant (a name, or a file with the table of your own net), width, epochs, batch_size (a number or
        "auto"), image_size (px), freeze, precision, seed. They win over `settings`.

    Raises:
      ConfigError: an option or a setting is unknown, has the wrong type or contradicts another.
      DataError: there are no records, or they are damaged.
      StoppedByUser: Ctrl-C, or the stop button of a notebook. A checkpoint was saved; the same call continues.
    """
    timer = Timer()
    from mnasnet_cli.training.run import train as run

    planned = plan(
        task or _task_of(recipe, data), recipe, data=data, run_dir=run_dir, init=init, teacher=teacher, fresh=fresh,
        settings=settings, options=options,
    )  # fmt: skip
    return TrainedRun(planned.run_dir, run(**planned.arguments(), timer=timer))


def plan(
    task: TaskName,
    recipe: str | os.PathLike[str] | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    init: str | os.PathLike[str] | None = None,
    teacher: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    assignments: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> PlannedRun:
    """Return what a training needs.

    Without a recipe and without `fresh`, a run that exists keeps its own configuration, and settings and options change
    that. So the call with nothing but the folder of the run continues it.

    Args:
      assignments: of the form "training.epochs=10", from `--set`.
      options: by the names of OPTION_KEYS; the others are arguments of `train`.
    """
    from mnasnet_cli.runs.run_files import read_config

    for name in options or ():
        if name not in OPTION_KEYS:
            hint = nearest(name, OPTION_KEYS) or "; other keys are for settings={'section.key': value}"
            raise ConfigError(f"no option '{name}' (there are {', '.join(OPTION_KEYS)}){hint}")
    if teacher is not None and task == "detection":
        raise ConfigError(
            "a detector can't learn from a teacher; `mnasnet train-imagenet --teacher MODEL` trains a classifier with "
            "one, and `mnasnet train-coco --backbone` starts from that classifier"
        )
    start = os.fspath(init) if init is not None else None
    changes: dict[str, Any] = {
        "task": task,
        "architecture": _architecture_of(start) if start else None,
        "assignments": assignments,
        "settings": settings,
        "flags": {
            OPTION_KEYS[name]: os.fspath(value) if isinstance(value, os.PathLike) else value
            for name, value in (options or {}).items()
        },
    }
    name = os.fspath(recipe) if recipe is not None else DEFAULT_RECIPES[task]
    config = load_config(name, **changes)
    folder = Path(run_dir) if run_dir is not None else Path("runs") / f"{DATASETS[task]}-{config.model.variant}"
    stored = None if fresh else read_config(folder)
    if stored is not None and recipe is None:
        config = load_config(base=stored, base_name=str(folder / "config.yaml"), **changes)
    elif stored is not None and stored.get("data", {}).get("order") == "buffer":  # no recipe says this
        config = load_config(name, **{**changes, "assignments": ["data.order=buffer", *changes["assignments"]]})
    records = Path(data) if data is not None else Path("data") / DATASETS[task]
    return PlannedRun(config, records, folder, start, os.fspath(teacher) if teacher is not None else None, fresh)


def _task_of(recipe: str | os.PathLike[str] | None, data: str | os.PathLike[str] | None) -> TaskName:
    """Return the task of the records, or of a shipped recipe.

    Raises:
      ConfigError: neither says what to train.
    """
    from mnasnet_cli.records.dataset_info import load_dataset_info

    if data is not None:
        return parse_task(load_dataset_info(Path(data)).kind)
    tasks = [task for task in DATASETS if recipe in shipped_configs(task)]
    if len(tasks) != 1:
        raise ConfigError("say what to train: name the folder of records with data=…, or task='classification'")
    return tasks[0]


def _architecture_of(model: str) -> dict[str, Any]:
    """Return the variant, the width and the table of a trained model as dotted key → value.

    Raises:
      CheckpointError: the model is an exported artifact; its batch norms are folded, so it can't be trained.
    """
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.checkpoints.reader import read_info
    from mnasnet_cli.inference.manifest import read_manifest
    from mnasnet_cli.inference.runner import detect_model_format

    model_format, path = detect_model_format(model)
    if model_format != "checkpoint":
        source = read_manifest(path).source
        raise CheckpointError(
            f"{model} is an exported artifact ({model_format}), which can't be trained; start from its source, {source}"
        )
    info = read_info(find_checkpoint(model))
    return {"model.variant": info["variant"], "model.width": info["width"], "model.table": info.get("table")}
