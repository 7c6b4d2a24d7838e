"""Loads a configuration from YAML, `--set` and flags. Every error is one line that names the key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mnasnet_cli.config.net_table import is_net_file, resolve_variant
from mnasnet_cli.config.recipes import find_config, shipped_configs
from mnasnet_cli.config.schema import Config
from mnasnet_cli.config.task_names import DATASETS, TaskName
from mnasnet_cli.errors import ConfigError, nearest
from mnasnet_cli.nets.spec import NETS
from mnasnet_cli.system.documents import MAX_YAML_BYTES, Unreadable, parse_yaml, read_text, shorten


def load_config(
    name_or_path: str | None = None,
    *,
    task: TaskName | None = None,
    assignments: Iterable[str] = (),
    settings: Mapping[str, Any] | None = None,
    flags: Mapping[str, Any] | None = None,
    architecture: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
    base_name: str = "the configuration",
) -> Config:
    """Load a configuration. Flags override `settings`, these `--set` assignments, and these the file.

    Args:
      name_or_path: a shipped recipe's name or a YAML file; None uses `base`, or the defaults.
      task: the task that the configuration must have; None accepts both.
      assignments: assignments of the form "training.epochs=10".
      settings: dotted key → value, of any type that YAML has; from Python, what `--set` is for the command line.
      flags: dotted key → value; None stands for a flag that was not given.
      architecture: dotted key → value, of a model to start from; everything but the file and `base` overrides it.
      base: a nested mapping to start from instead of a file.
      base_name: what errors call `base`.

    Raises:
      ConfigError: a key is unknown, has the wrong type or contradicts another.
    """
    path = find_config(name_or_path, task) if name_or_path is not None else None
    tree: dict[str, Any] = _read(path) if path else _copy(base or {})
    source = str(name_or_path) if path else base_name
    origins: dict[str, str] = {}
    for key, value in (architecture or {}).items():
        _assign(tree, key, value, source)
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {text!r} is not of the form key.sub=value, e.g. --set training.epochs=10")
        _assign(tree, key.strip(), _parse(value, f"--set {text!r}"), f"--set {text}")
        origins[key.strip()] = f"--set {text}"
    for key, value in (settings or {}).items():
        origins[key] = f"settings[{key!r}]"
        _assign(tree, key, value, origins[key])
    for key, value in (flags or {}).items():
        if value is not None:
            flag = f"--{key.rpartition('.')[2].replace('_', '-')}"
            _assign(tree, key, value, flag)
            origins[key] = flag
    _resolve_net(tree, replaces_table="model.variant" in origins)
    if task is not None and tree.setdefault("task", task) not in (task, DATASETS[task]):
        where = origins.get("task", source)
        recipes = ", ".join(shipped_configs(task))
        raise ConfigError(
            f"{where} is for the task {tree['task']!r}, expected one for {task!r}; its recipes are {recipes}"
        )
    return validate(tree, source, origins)


def _resolve_net(tree: dict[str, Any], *, replaces_table: bool) -> None:
    """Put the name and the table of a net file in place of its path.

    replaces_table: a built-in variant was chosen, so that a table in the file or in `base` no longer counts.

    Raises:
      ConfigError: the file is not a valid table.
    """
    model = tree.get("model")
    variant = model.get("variant") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(variant, str):
        return
    if is_net_file(variant):
        model["variant"], table = resolve_variant(variant)
        model["table"] = table.model_dump(mode="json") if table else None
    elif variant in NETS and replaces_table:
        model["table"] = None


def validate(tree: Mapping[str, Any], source: str, origins: Mapping[str, str] | None = None) -> Config:
    """Check a nested mapping and return it as a `Config`.

    Args:
      source: what errors call the mapping.
      origins: dotted key → the flag or assignment that set it, e.g. "--set a.b=1"; errors in the key name that instead.

    Raises:
      ConfigError: one line that names every error.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            "; ".join(
                f"{_origin(fault['loc'], origins or {}) or source}: {_describe(fault)}" for fault in error.errors()
            )
        ) from None


def _origin(location: tuple[int | str, ...], origins: Mapping[str, str]) -> str | None:
    """Return the flag or assignment that set the key at `location`, one of its sections, or a key below it."""
    key = ".".join(str(part) for part in location)
    for assigned, origin in reversed([*origins.items()]):
        if key and (f"{key}.".startswith(f"{assigned}.") or f"{assigned}.".startswith(f"{key}.")):
            return origin
    return None


def _describe(fault: Any) -> str:
    """Return what one of pydantic's errors says, with the key, the value found and the nearest valid one."""
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(key, _keys())}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{key}: {message}" if key else message
    if fault["type"] == "model_type":
        message = f"expected a section with keys such as {', '.join(_children(key))}"
    elif fault["type"] == "literal_error":
        hint = nearest(str(fault["input"])[:60], re.findall(r"'([^']+)'", fault["ctx"]["expected"]))
        return f"{key}: must be {fault['ctx']['expected']}, found {shorten(fault['input'])}{hint}"
    message = message.removeprefix("Input ")
    return f"{key}: {message[0].lower()}{message[1:]}, found {shorten(fault['input'])}"


def _children(section: str) -> list[str]:
    """Return the names of the first three keys of a section."""
    prefix = f"{section}."
    return [key.removeprefix(prefix) for key in _keys() if key.startswith(prefix)][:3]


def _keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Return every dotted key of the schema, each section before its keys."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        found.append(prefix + name)
        for kind in (field.annotation, *get_args(field.annotation)):  # get_args: `DetectionConfig | None`
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found.extend(_keys(kind, f"{prefix}{name}."))
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = _parse(read_text(path, MAX_YAML_BYTES), str(path))
    except Unreadable as error:
        raise ConfigError(f"{error}; expected a recipe in YAML") from None
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else f"a {type(tree).__name__}"
        raise ConfigError(f"{path} holds {found}, expected sections such as 'training:' with keys")
    # YAML reads a section whose keys are all commented out as null.
    return {key: {} if value is None else value for key, value in tree.items()}


def _parse(text: str, source: str) -> Any:
    try:
        return parse_yaml(text, source, numbers=True)
    except Unreadable as error:
        raise ConfigError(str(error)) from None


def _assign(tree: dict[str, Any], key: str, value: Any, source: str) -> None:
    *sections, name = key.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            hint = "" if key in _keys() else nearest(key, _keys())
            raise ConfigError(f"{source}: {section!r} holds {shorten(below)}, which is a value, not a section{hint}")
        tree = below
    tree[name] = value


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
