"""Finds the shipped recipes: in `configs/` of a checkout, or inside the package of an installed wheel."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.errors import ConfigError, nearest

# The wheel carries configs/ as mnasnet_cli/_configs (pyproject.toml), so that no folder with so common a name
# lands in site-packages.
_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE / "_configs", _PACKAGE.parent / "configs")
TASKS = ("imagenet", "coco")


def configs_dir() -> Path:
    """Return the folder of the shipped configurations, with one subfolder a task."""
    for place in _PLACES:
        if (place / "imagenet").is_dir():
            return place
    raise ConfigError(
        f"the shipped configurations are missing: expected in {_PLACES[0]} or {_PLACES[1]}; reinstall mnasnet"
    )


def shipped_configs(task: str | None = None) -> list[str]:
    """Return the names of the configurations shipped for a task ("imagenet", "coco"), or for all, sorted."""
    tasks = TASKS if task is None else (task,)
    return sorted({path.stem for each in tasks for path in (configs_dir() / each).glob("*.yaml")})


def find_config(name_or_path: str, task: str | None = None) -> Path:
    """Return the file of a shipped configuration ("quick"), `task`'s where several have the name, or of a path.

    Raises a ConfigError that lists the names.
    """
    path = Path(name_or_path).expanduser()
    looks_like_path = path.suffix in (".yaml", ".yml") or len(path.parts) > 1
    if looks_like_path:
        if not path.is_file():
            raise ConfigError(f"configuration file {name_or_path} does not exist")
        return path
    for each in sorted(TASKS, key=lambda name: name != task):
        shipped = configs_dir() / each / f"{name_or_path}.yaml"
        if shipped.is_file():
            return shipped
    if path.is_file():
        return path
    names = shipped_configs()
    hint = nearest(name_or_path, names)
    raise ConfigError(f"no configuration is called '{name_or_path}' (shipped: {', '.join(names)}){hint}")
