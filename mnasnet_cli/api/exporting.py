"""Exports a model: finds its checkpoint, its records and the folder to write to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnasnet_cli.config.task_names import DATASETS, TaskName, parse_task
from mnasnet_cli.errors import CheckpointError, ConfigError, nearest
from mnasnet_cli.export.artifact import Format
from mnasnet_cli.inference.runner import detect_model_format

if TYPE_CHECKING:
    from mnasnet_cli.export.exporter import ExportResult


@dataclass(frozen=True)
class Export:
    """What an export has written."""

    prefix: str
    """Of the checkpoint."""
    out: Path
    """The folder with one folder per format."""
    images: str
    """Which images the artifacts were compared on, in words."""
    results: list[ExportResult]

    def raise_for_faults(self) -> None:
        """Raise CheckFailed with the formats that were not exported, if there are any."""
        from mnasnet_cli.export.exporter import raise_for_faults

        raise_for_faults(self.results)


def export(
    model: str | None,
    formats: Sequence[str],
    out: Path | None = None,
    *,
    data: Path | None = None,
    image_size: int | None = None,
    ema: bool = True,
    best: bool = False,
    parity_images: int | None = None,
    calibration_images: int | None = None,
    mediapipe: bool = False,
    accept_parity: bool = False,
    litertjs: str | None = None,
) -> Export:
    """Export a model to several formats; see `export.exporter.export_model`.

    Args:
      model: a run or a checkpoint; None: the newest run, of the task of `data` if that is given.
      out: None: the folder `export` in the run.
      data: folder of records; None: the default folder of the task, if it holds records.
      accept_parity: keep an artifact over its tolerance; its manifest says so.
      mediapipe: TFLite files normalize pixels themselves, as MediaPipe Tasks needs it.

    Raises:
      CheckpointError: there is no trained model, or it is an artifact.
      ConfigError: there is no such format.
    """
    for format in formats:
        if format not in list(Format):
            raise ConfigError(f"no format '{format}' (there are {', '.join(Format)}){nearest(format, Format)}")
    from mnasnet_cli.checkpoints.reader import read_info

    prefix = _find(model, best, data)
    data = data or _default_data(read_info(prefix)["task"])
    out = out or _default_out(prefix)
    from mnasnet_cli.export.exporter import export_model

    results = export_model(
        prefix,
        out,
        [str(format) for format in formats],
        data=data,
        image_size=image_size,
        ema=ema,
        parity_images=parity_images,
        calibration_images=calibration_images,
        mediapipe=mediapipe,
        accept_parity=accept_parity,
        litertjs=litertjs,
    )
    return Export(prefix, out, "generated images" if data is None else f"images of {data}", results)


def _find(model: str | None, best: bool, data: Path | None) -> str:
    """Return the prefix of the checkpoint to export. Without `model`, use the newest run; `data` decides its task."""
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.records.dataset_info import load_dataset_info
    from mnasnet_cli.runs.finding import newest_run

    if model is not None:
        format, _ = detect_model_format(model)
        if format != "checkpoint":
            raise CheckpointError(f"{model} is an export ({format}); export its run or its checkpoint instead")
        return find_checkpoint(model, best=best)
    found = []
    for task in DATASETS if data is None else (parse_task(load_dataset_info(data).kind),):
        try:
            found.append(find_checkpoint(str(newest_run(task)), best=best))
        except CheckpointError:
            continue
    if not found:
        raise CheckpointError(
            "there is no trained run in runs/; train one with `mnasnet train-imagenet` or `mnasnet train-coco`, or "
            "name a MODEL"
        )
    return max(found, key=lambda prefix: Path(f"{prefix}.index").stat().st_mtime)


def _default_data(task: TaskName) -> Path | None:
    """Return the default folder of the task's records, if there are any."""
    from mnasnet_cli.records.shards import SPLITS, shard_groups

    folder = Path("data") / DATASETS[task]
    return folder if folder.is_dir() and {name for name, _ in shard_groups(folder)} & set(SPLITS) else None


def _default_out(prefix: str) -> Path:
    """Return the folder `export` in the run of a checkpoint, or beside a checkpoint outside of runs."""
    from mnasnet_cli.checkpoints.files import BEST_FOLDER, CHECKPOINT_FOLDER

    folder = Path(prefix).parent
    absolute = Path(os.path.abspath(folder))
    if absolute.name not in (BEST_FOLDER, CHECKPOINT_FOLDER):
        return folder / "export"
    return (folder.parent if folder.name == absolute.name else absolute.parent) / "export"
