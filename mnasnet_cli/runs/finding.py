"""Finds the newest run of a task."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

from mnasnet_cli.checkpoints.files import CHECKPOINT_FOLDER, list_checkpoints
from mnasnet_cli.config.task_names import DATASETS, MODEL_KINDS, TaskName, parse_task
from mnasnet_cli.console import warn
from mnasnet_cli.errors import CheckpointError, ConfigError
from mnasnet_cli.runs.directory import CONFIG_FILE, read_config


def newest_run(task: TaskName, root: Path = Path("runs")) -> Path:
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
            f"there is no trained {MODEL_KINDS[task]} in {root}/; train one with `mnasnet train-{DATASETS[task]}`, or "
            "name a MODEL"
        )
    return max(found)[1]


def _task_of(run: Path) -> TaskName | None:
    try:
        config = read_config(run)
    except ConfigError:
        _warn_of(run, Path.cwd())
        return None
    with contextlib.suppress(ValueError):
        return parse_task(config.get("task", "classification")) if config else None
    return None


@functools.cache  # once: a command may look for the newest run of each task
def _warn_of(run: Path, below: Path) -> None:
    """Warns of a damaged run, named as it is from the current folder `below`."""
    warn(f"{run} is left out: its {CONFIG_FILE} is damaged; to take this run all the same, name it as MODEL")
