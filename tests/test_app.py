"""What all commands share: help, exit codes, and one line for an error."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
import typer

from mnasnet_cli import app as program
from mnasnet_cli.commands import doctor as doctor_module
from mnasnet_cli.errors import CheckFailed, ConfigError, DataError, Stopped


def _within(first, error):
    """Return an error that a library raised while it handled the first."""
    error.__context__ = first
    return error


def test_help_lists_every_command_with_a_sentence(mnasnet):
    result = mnasnet("--help")
    assert result.code == 0, result.err
    for name in program.COMMANDS:
        assert f" {name} " in result.out


def test_the_list_of_commands_has_the_first_paragraph_of_their_help(mnasnet):
    listed = " ".join(mnasnet("--help").out.replace("│", " ").split())
    group = typer.main.get_command(program.app)
    context = typer.Context(group, info_name="mnasnet")
    for name in program.COMMANDS:
        paragraph, *_ = group.get_command(context, name).help.split("\n\n")
        assert f"{name} {paragraph}" in listed


@pytest.mark.parametrize("name", program.COMMANDS)
def test_every_command_has_help(mnasnet, name):
    result = mnasnet(name, "--help")
    assert result.code == 0, result.err
    assert "Usage: mnasnet" in result.out
    assert name in result.out
    if name in program.EXAMPLES:
        assert f"Example: mnasnet {name}" in result.out


def test_no_arguments_show_the_help(mnasnet):
    result = mnasnet()
    assert result.code == 0, result.err
    assert "Usage: mnasnet" in result.out


def test_version(mnasnet):
    import mnasnet_cli

    assert mnasnet("--version") == (0, f"mnasnet {mnasnet_cli.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["docto"], "error: no command 'docto'; did you mean 'doctor'?"),
        (["help"], "error: no command 'help'; use mnasnet --help"),
        (["train"], "error: no command 'train'; use mnasnet train-imagenet or mnasnet train-coco"),
        (["val"], "error: no command 'val'; use mnasnet eval"),
        (["zzz"], "error: no command 'zzz'; see mnasnet --help"),
        (["doctor", "--jsn"], "error: no option '--jsn'; did you mean '--json'?"),
        (["doctor", "--zzz"], "error: no option '--zzz'; see mnasnet doctor --help"),
        (["doctor", "more"], "error: Got unexpected extra argument(s) (more); see mnasnet doctor --help"),
        (
            ["train-imagenet", "--epochs", "x"],
            "error: Invalid value for '--epochs': expected a valid integer; see mnasnet train-imagenet --help",
        ),
        (["--zzz"], "error: no option '--zzz'; see mnasnet --help"),
    ],
)
def test_a_usage_error_is_one_line_and_code_2(mnasnet, arguments, message):
    assert mnasnet(*arguments) == (2, "", message + "\n")


def test_a_wrong_value_names_the_nearest(mnasnet):
    result = mnasnet("export", "run", "--format", "tflit")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "Value error" not in result.err
    assert result.err.endswith("did you mean 'tflite'?\n")


@pytest.mark.parametrize("words", program.SYNONYMS.values())
def test_synonyms_name_commands_that_exist(words):
    names = {*program.COMMANDS, "--help", "--version"}
    assert all(part.split()[0].strip(",") in names for part in words.split("mnasnet ")[1:])


def _doctor_raises(monkeypatch, error: BaseException) -> None:
    def describe() -> None:
        raise error

    monkeypatch.setattr(doctor_module.machine, "describe", describe)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("shard 17 of 1024 is missing\nin data"), 2, "error: shard 17 of 1024 is missing in data"),
        (ConfigError("epochs: [0, 1] is not a number"), 2, "error: epochs: [0, 1] is not a number"),
        (CheckFailed("top-1 0.5 is below 0.7"), 3, "error: top-1 0.5 is below 0.7"),
        (Stopped("stopped at step 7"), 143, "error: stopped at step 7"),
        (OSError(errno.ENOSPC, "x", "out/t"), 2,
         "error: out/t: no space left on device; free some disk space, or choose a folder on another disk"),
        (PermissionError(errno.EACCES, "x", "out/t"), 2,
         "error: out/t: permission denied; choose another folder, or change its permissions"),
        (FileNotFoundError(errno.ENOENT, "x", "in/t"), 2, "error: in/t: no such file or directory"),
        (ImportError("libfribidi.so.0.6: failed to map segment from shared object"), 2,
         "error: the library libfribidi.so.0.6 cannot be loaded: failed to map segment from shared object; free some "
         "memory, or see mnasnet doctor"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2,
         "error: the Python package that provides 'torch' is not installed; see mnasnet doctor"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (_within(KeyboardInterrupt(), RuntimeError("Improper nesting of variable_scope.")), 130, "interrupted"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_with_its_code(mnasnet, monkeypatch, error, code, message):
    _doctor_raises(monkeypatch, error)
    result = mnasnet("doctor", "--json")
    assert (result.code, result.out, result.lines) == (code, "", [message])


def test_a_bug_says_where_it_is(mnasnet, monkeypatch):
    _doctor_raises(monkeypatch, ValueError("what"))
    result = mnasnet("doctor", "--json")
    assert result.code == 1
    (line,) = result.lines
    assert line.startswith("error: internal error: ValueError: what (in mnasnet_cli/commands/doctor.py:")


@pytest.mark.parametrize("arguments", [("--debug", "doctor"), ("doctor", "--debug")])
def test_debug_anywhere_shows_the_traceback(mnasnet, monkeypatch, arguments):
    _doctor_raises(monkeypatch, DataError("what"))
    result = mnasnet(*arguments)
    assert result.code == 2
    assert "Traceback" in result.err
    assert result.err.endswith("error: what\n")


def test_debug_after_two_dashes_is_an_argument():
    assert program.split_debug(["inspect", "--", "--debug"]) == (["inspect", "--", "--debug"], False)


def test_a_closed_pipe_is_not_an_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "mnasnet_cli", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


def test_typer_abort_is_an_interrupt():
    assert program.explain(typer.Abort()) == ("aborted", 130)


@pytest.mark.parametrize("text", ["can't start new thread", "Resource temporarily unavailable"])
def test_a_limit_of_threads_is_no_internal_error(text):
    message, code = program.explain(RuntimeError(text))
    assert (message, code) == (f"{text.lower()}; raise the limits of memory (ulimit -v) and processes (ulimit -u)", 2)


def test_characters_that_the_terminal_cannot_show_are_not_an_error():
    code = "from mnasnet_cli.app import main; main()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run([sys.executable, "-c", code, "models"], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "a1" in result.stdout
