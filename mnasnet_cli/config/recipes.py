"""Finds the shipped recipes: `configs/` of a checkout, or the copy inside the installed package."""

from __future__ import annotations

import os
from pathlib import Path

from mnasnet_cli.config.task_names import DATASETS, TaskName
from mnasnet_cli.errors import ConfigError, nearest

# The wheel carries configs/ as mnasnet_cli/_configs (pyproject.toml): a top-level folder `configs` in site-packages
# could collide with that of another package.
_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "_configs", _PACKAGE.parent / "configs")


def configs_dir() -> Path:
    """Return the folder of the shipped configurations, which has a subfolder for each task.

    Raises:
      ConfigError: the installation lacks it.
    """
    for folder in _FOLDERS:
        if (folder / "imagenet").is_dir():
            return folder
    raise ConfigError(
        f"the shipped configurations are missing: expected in {_FOLDERS[0]} or {_FOLDERS[1]}; reinstall mnasnet"
    )


def shipped_configs(task: TaskName | None = None) -> list[str]:
    """Return the sorted names of the shipped recipes of a task; None: of both."""
    folders = DATASETS.values() if task is None else (DATASETS[task],)
    return sorted({path.stem for folder in folders for path in (configs_dir() / folder).glob("*.yaml")})


def find_config(name_or_path: str, task: TaskName | None = None) -> Path:
    """Return the file of a shipped recipe or of a path.

    Args:
      name_or_path: a recipe's name, e.g. "quick", or a path of a YAML file.
      task: whose recipe to prefer where both tasks have one of the name.

    Raises:
      ConfigError: there is no such recipe or file; it lists the shipped recipes.
    """
    path = Path(name_or_path).expanduser()
    looks_like_path = path.suffix in (".yaml", ".yml") or len(path.parts) > 1
    if looks_like_path:
        if not os.path.isfile(path):
            raise ConfigError(f"configuration file {name_or_path} does not exist")
        return path
    for each in sorted(DATASETS, key=lambda name: name != task):
        shipped = configs_dir() / DATASETS[each] / f"{name_or_path}.yaml"
        if os.path.isfile(shipped):
            return shipped
    if os.path.isfile(path):  # unlike `Path.is_file`, it takes a name of any length
        return path
    names = shipped_configs(task)
    hint = nearest(name_or_path, names)
    raise ConfigError(f"unknown configuration '{name_or_path}' (shipped: {', '.join(names)}){hint}")
