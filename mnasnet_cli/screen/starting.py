"""The start of commands: what needs no TensorFlow is checked before TensorFlow starts, which takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnasnet_cli import console
from mnasnet_cli.api.model import Model, load
from mnasnet_cli.config.task_names import DATASETS, TaskName
from mnasnet_cli.inference.runner import detect_model_format
from mnasnet_cli.records.dataset_info import load_dataset_info


def load_model(model: str, **options: Any) -> Model:
    """Say that a model is loaded, and load it; see `api.model.load` for the options and errors."""
    detect_model_format(model)  # it must be there
    console.begin(f"loading {model}")
    return load(model, **options)


def start_training(task: TaskName, data: Path) -> None:
    """Check that there are records of the task, and say that TensorFlow starts.

    Raises:
      DataError: there are none.
    """
    load_dataset_info(data, DATASETS[task])
    console.begin("starting TensorFlow")
