"""A trained net from its checkpoint alone: which one is meant, and the task and module it makes."""

from __future__ import annotations

import functools
from pathlib import Path

from mnasnet_cli.config import Config, validate
from mnasnet_cli.console import warn
from mnasnet_cli.errors import CheckpointError, ConfigError
from mnasnet_cli.training.checkpoints import CHECKPOINT_FOLDER, CheckpointContents, list_checkpoints
from mnasnet_cli.training.run_directory import CONFIG_FILE, read_config
from mnasnet_cli.variables import SlimModule

# What a checkpoint's section "detection" may hold from before: settings of its training that have moved since.
_RETIRED = ("freeze_backbone_norm",)


def newest_run(task: str, root: Path = Path("runs")) -> Path:
    """The run of a task that saved a checkpoint last; one whose configuration is damaged is left out with a warning.

    Raises:
      CheckpointError: there is none below `root`.
    """
    found = []
    for run in root.iterdir() if root.is_dir() else ():
        prefixes = list_checkpoints(run / CHECKPOINT_FOLDER)
        if prefixes and _task_of(run) == task:
            found.append((Path(f"{prefixes[-1]}.index").stat().st_mtime, run))
    if not found:
        raise CheckpointError(
            f"there is no trained {task} run in {root}/; train one with `mnasnet train-{task}`, or name a MODEL"
        )
    return max(found)[1]


def _task_of(run: Path) -> str | None:
    try:
        config = read_config(run)
    except ConfigError:
        _warn_of(run, Path.cwd())
        return None
    return config.get("task") if config else None


@functools.cache  # once: a command may look for the newest run of each task
def _warn_of(run: Path, below: Path) -> None:
    """Warns of a damaged run, named as it is from the current folder `below`."""
    warn(f"{run} is left out: its {CONFIG_FILE} is damaged; to take this run all the same, name it as MODEL")


def config_of(contents: CheckpointContents, *, image_size: int | None = None, batch_size: int = 64) -> Config:
    """The configuration that evaluates a checkpoint as it was trained to be evaluated.

    `image_size` replaces the side of the evaluation crops.
    """
    info = contents.info
    data = dict(info["preprocessing"])
    if image_size is not None:
        data["image_size"] = image_size
    detection = info.get("detection")
    if detection:
        detection = {name: value for name, value in detection.items() if name not in _RETIRED}
    tree = {
        "task": info["task"],
        "model": {"variant": info["variant"], "width": info["width"], "net": info.get("net") or {}},
        "data": data,
        "training": {"eval_batch_size": batch_size},
        "detection": detection,
    }
    return validate(tree, contents.prefix)


def load_weights(model: SlimModule, contents: CheckpointContents) -> None:
    """Puts a checkpoint's weights into a module of the same net.

    Raises:
      CheckpointError: listing the names that don't fit.
    """
    faults = [f"{name} is missing" for name in model.weights if name not in contents.weights]
    faults += [f"{name} is not in the net" for name in contents.weights if name not in model.weights]
    faults += [
        f"{name} has shape {contents.weights[name].shape}, expected {tuple(variable.shape)}"
        for name, variable in model.weights.items()
        if name in contents.weights and contents.weights[name].shape != tuple(variable.shape)
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CheckpointError(f"{contents.prefix} does not fit the net: {'; '.join(faults[:5])}{more}")
    for name, variable in model.weights.items():
        variable.assign(contents.weights[name])
