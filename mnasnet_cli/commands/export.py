"""`mnasnet export`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import BestFlag, DataOption, EmaFlag, JsonFlag, OwnImageSizeOption
from mnasnet_cli.config.task_names import DATASETS, TaskName, parse_task
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.export.artifact import STATE_DICT_FORMATS, Format

if TYPE_CHECKING:
    from mnasnet_cli.export.exporter import ExportResult

DEFAULT_FORMATS = (Format.SAVED_MODEL, Format.TFLITE)


def export(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Run or checkpoint.", show_default="the newest run")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for one folder per format.", show_default="RUN/export"),
    ] = None,
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            metavar="F",
            help=f"{', '.join(Format)}; repeatable.",
            show_default=" and ".join(DEFAULT_FORMATS),
        ),
    ] = None,
    image_size: OwnImageSizeOption = None,
    data: DataOption = None,
    parity_images: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Images for the parity check.", show_default="64; detectors 16"),
    ] = None,
    calibration_images: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Training images for the calibration of tflite-int8.",
            show_default="300; detectors 100",
        ),
    ] = None,
    ema: EmaFlag = True,
    best: BestFlag = False,
    json_output: JsonFlag = False,
) -> None:
    """Export a model to the formats of servers and phones, and compare each artifact with the checkpoint.

    The images of the comparison come from the records of --data; without records they are generated. An artifact that
    differs by more than its format's tolerance is not kept, and the exit code is 3. The formats torchvision and timm
    are state dicts; they are read again and compared bit by bit.
    """
    from mnasnet_cli.checkpoints.reader import read_info

    prefix = _find(model, best, data)
    data = data or _default_data(read_info(prefix)["task"])
    out = out or _default_out(prefix)
    from mnasnet_cli.export.exporter import export_model, raise_for_faults

    results = export_model(
        prefix,
        out,
        [str(format) for format in formats or DEFAULT_FORMATS],
        data=data,
        image_size=image_size,
        ema=ema,
        parity_images=parity_images,
        calibration_images=calibration_images,
    )
    compared = [result for result in results if result.format not in STATE_DICT_FORMATS]
    state_dicts = [result for result in results if result.format in STATE_DICT_FORMATS]
    images = "generated images" if data is None else f"images of {data}"
    if json_output:
        artifacts = [result.as_dict() for result in results]
        summary = {"model": prefix, "out": str(out), "images": images if compared else None, "artifacts": artifacts}
        console.emit_json(summary)
    else:
        if compared:
            print_results(f"Export of {prefix}", compared, f"Compared with the checkpoint on {images}")
        if state_dicts:
            _print_state_dicts(f"State dicts of {prefix}", state_dicts)
    raise_for_faults(results)


def print_results(title: str, results: Sequence[ExportResult], comparison: str, note: str = "") -> None:
    """Print how artifacts compare with their checkpoint; `comparison` and `note` go into the caption."""
    columns = ("format", "MB", "largest difference", "agreement", "images", "file")
    rows = [
        (
            result.format,
            result.file_bytes / 1e6,
            *_comparison_cells(result),
            f"not exported: {result.fault}" if result.fault else str(result.path),
        )
        for result in results
    ]
    caption = f"{comparison}: differences of logits or scores, agreement of top-1 or boxes. {note}".rstrip()
    console.print_table(title, columns, rows, caption=caption)


def _comparison_cells(result: ExportResult) -> tuple[Any, ...]:
    """Return the largest difference, the agreement and the number of images."""
    comparison = result.comparison
    if comparison is None:
        return None, "n/a", None
    agreement = "no boxes" if comparison.agreement is None else f"{comparison.agreement:.1%}"
    return comparison.difference, agreement, comparison.images


def _print_state_dicts(title: str, results: Sequence[ExportResult]) -> None:
    rows = [(result.format, result.file_bytes / 1e6, str(result.path), result.load_code) for result in results]
    caption = "The tensors were read back and are identical."
    console.print_table(title, ("format", "MB", "file", "to load it"), rows, caption=caption)


def _find(model: str | None, best: bool, data: Path | None) -> str:
    """Return the prefix of the checkpoint to export. Without `model`, use the newest run; `data` decides its task."""
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.inference.runner import detect_model_format
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
