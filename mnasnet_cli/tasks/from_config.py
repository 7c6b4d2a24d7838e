"""The task that a configuration names."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.config.schema import Config
from mnasnet_cli.tasks.base import Task
from mnasnet_cli.tasks.classification import ClassificationTask
from mnasnet_cli.tasks.detection import DetectionTask


def make_task(config: Config, data_dir: Path) -> Task:
    """Return the task of a configuration on a folder of records."""
    return DetectionTask(config, data_dir) if config.task == "detection" else ClassificationTask(config, data_dir)
