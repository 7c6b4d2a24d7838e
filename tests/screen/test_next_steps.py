"""The commands that come next."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mnasnet_cli.app import COMMANDS
from mnasnet_cli.screen import next_steps
from mnasnet_cli.system.shell import command

RUN, DATA = Path("runs/my run"), Path("data/photos")


@pytest.mark.parametrize(
    "commands",
    [
        next_steps.after_training(RUN, DATA),
        next_steps.after_preparation("classification", DATA),
        next_steps.after_preparation("detection", DATA),
        next_steps.after_export([RUN / "export/tflite/model.tflite"]),
        next_steps.after_import("classification", RUN),
        next_steps.after_import("detection", RUN),
    ],
)
def test_each_is_a_command_whose_options_exist(mnasnet, commands):
    for line in commands:
        program, name, *words = shlex.split(line)
        assert (program, name in COMMANDS) == ("mnasnet", True)
        said = mnasnet(name, "--help").out
        assert all(word in said for word in words if word.startswith("--")), line


def test_paths_with_blanks_are_quoted():
    assert next_steps.after_training(RUN, DATA) == [
        "mnasnet eval 'runs/my run' --data data/photos",
        "mnasnet predict 'runs/my run' IMAGE",
        "mnasnet export 'runs/my run' --data data/photos",
    ]


def test_a_command_stays_on_one_line(capsys):
    next_steps.show([command("eval", "x" * 200)])
    assert capsys.readouterr().out == f"Next:\n  mnasnet eval {'x' * 200}\n"
    next_steps.show([])
    assert capsys.readouterr().out == ""
