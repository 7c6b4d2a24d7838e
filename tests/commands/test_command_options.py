"""The options of all commands: each is described, and the shared ones refuse bad values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from outcomes import error_of

from mnasnet_cli.app import COMMANDS, app
from mnasnet_cli.commands.options import check_writable
from mnasnet_cli.config.recipes import shipped_configs
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import ConfigError, EnvironmentProblem


def _command(name: str) -> Any:
    group: Any = typer.main.get_command(app)
    return group.get_command(typer.Context(group, info_name="mnasnet"), name)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_parameter_is_described(name: str) -> None:
    command = _command(name)
    first = command.help.splitlines()[0]
    assert re.fullmatch(r"[A-Z].{20,110}\.", first), first
    for param in command.params:
        assert re.fullmatch(r"[A-Za-z-].*\.", param.help or ""), f"{name}: {param.name}: {param.help}"
        if param.param_type_name == "argument" or not param.is_flag:
            assert param.metavar, f"{name}: {param.name} has no metavar"


def test_the_help_shows_defaults_that_depend_on_the_model(mnasnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = mnasnet("export", "--help").out
    assert "the newest run" in text
    assert "RUN/export" in text
    assert "saved-model and tflite" in text


@pytest.mark.parametrize(
    ("command", "task"),
    [("train-imagenet", "classification"), ("search", "classification"), ("train-coco", "detection")],
)
def test_the_help_of_config_names_every_recipe(command: str, task: TaskName) -> None:
    (config,) = (param for param in _command(command).params if param.name == "config")
    named = re.split(", | and ", re.search(r"Recipes: (.+?)\.", config.help)[1])  # type: ignore[index]
    assert sorted(named) == shipped_configs(task)


@pytest.mark.parametrize(
    ("flags", "facts"),
    [
        (["--variant=b7"], ["'b7'", "a1, b1, small", "did you mean 'b1'?"]),
        (["--width=0"], ["--width", "0"]),
        (["--width=nan"], ["--width", "nan"]),
        (["--image-size=16"], ["--image-size"]),
    ],
)
def test_a_bad_value_of_a_shared_option_is_an_error(mnasnet: Any, flags: list[str], facts: list[str]) -> None:
    message = error_of(mnasnet("import", "missing.pth", "out", *flags))
    assert all(fact in message for fact in facts), message


def test_a_path_for_results_must_be_of_its_kind(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_writable("--out", None)
    check_writable("--out", tmp_path / "file")
    check_writable("--out", tmp_path / "new" / "folder", folder=True)
    with pytest.raises(ConfigError, match=r"--out .*file is a file.*folder"):
        check_writable("--out", tmp_path / "file", folder=True)
    with pytest.raises(ConfigError, match=r"--out .* is a folder.*file"):
        check_writable("--out", tmp_path)
    with pytest.raises(EnvironmentProblem, match=r"--out .*file is a file"):
        check_writable("--out", tmp_path / "file" / "below")


def test_a_path_in_a_read_only_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(EnvironmentProblem, match=r"--out .*read-only"):
        check_writable("--out", tmp_path / "new")
