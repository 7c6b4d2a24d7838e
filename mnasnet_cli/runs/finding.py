"""Finds the newest run of a task."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

from mnasnet_cli.checkpoints.files import CHECKPOINT_FOLDER, list_checkpoints
from mnasnet_cli.config.task_names import DATASETS, MODEL_KINDS, TaskName, parse_task
from mnasnet_cli.console import warn
from mnasnet_cli.errors import CheckpointError, ConfigError
from mnasnet_cli.runs.run_files import CONFIG_FILE, read_config


def newest_run(task: TaskName, root: Path = Path("runs")) -> Path:
    """Return the run in `root` that saved a checkpoint of the task last.

    Runs with a damaged configuration are skipped with a warning.

    Raises:
      CheckpointError: there is no such run.
    """
    found = []
    for run in root.iterdir() if root.is_dir() else ():
        prefixes = list_checkpoints(run / CHECKPOINT_FOLDER)
        if prefixes and _read_task(run) == task:
            found.append((Path(f"{prefixes[-1]}.index").stat().st_mtime, run))
    if not found:
        raise CheckpointError(
            f"there is no trained {MODEL_KINDS[task]} in {root}/; train one with `mnasnet train-{DATASETS[task]}`, or "
            "name a MODEL"
        )
    return max(found)[1]


def _read_task(run: Path) -> TaskName | None:
    try:
        config = read_config(run)
    except ConfigError:
        _warn_of_damage(run, Path.cwd())
        return None
    with contextlib.suppress(ValueError):
        return parse_task(config.get("task", "classification")) if config else None
    return None


@functools.cache  # warn once, even if a command looks for the newest run of each task
def _warn_of_damage(run: Path, folder: Path) -> None:
    """Warn of a damaged run, whose path is relative to the current folder."""
    warn(f"skipping {run}: its {CONFIG_FILE} is damaged; to use this run, pass it as MODEL")
