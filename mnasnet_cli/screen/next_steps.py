"""The commands that come next, as one would type them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnasnet_cli import console
from mnasnet_cli.config.task_names import DATASETS, TaskName
from mnasnet_cli.system.shell import command

IMAGE = "IMAGE"  # stands for a file of the user's own


def after_training(run_dir: Path, data: Path) -> list[str]:
    """Return the commands after a training: evaluate, predict, export."""
    return [
        command("eval", run_dir, "--data", data),
        command("predict", run_dir, IMAGE),
        command("export", run_dir, "--data", data),
    ]


def after_preparation(task: TaskName, out: Path) -> list[str]:
    """Return the commands after records were written: look at them, train."""
    recipe = ["--config", "quick"] if task == "classification" else ["--config", "lite"]
    return [
        command("inspect", out, "--health", "--images", 16),
        command(f"train-{DATASETS[task]}", "--data", out, *recipe),
    ]


def after_export(artifacts: Sequence[Path]) -> list[str]:
    """Return the commands after an export: predict with an artifact, measure it."""
    if not artifacts:
        return []
    return [command("predict", artifacts[0], IMAGE), command("benchmark", artifacts[0])]


def after_import(task: TaskName, out: Path) -> list[str]:
    """Return the commands after weights were imported: predict, fine-tune, export."""
    recipe = ["--config", "finetune"] if task == "classification" else []
    return [
        command("predict", out, IMAGE),
        command(f"train-{DATASETS[task]}", *recipe, "--init", out, "--data", "DATA"),
        command("export", out),
    ]


def show(commands: Sequence[str]) -> None:
    """Print the commands to standard output, each on one line, whatever the width of the terminal."""
    if commands:
        console.emit_text("Next:\n" + "".join(f"  {line}\n" for line in commands))
