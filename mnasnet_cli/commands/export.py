"""`mnasnet export`."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import BestFlag, DataOption, EmaFlag, JsonFlag, OwnImageSizeOption
from mnasnet_cli.config.task_names import DATASETS, TaskName, parse_task
from mnasnet_cli.errors import CheckpointError

STATE_DICTS = ("torchvision", "timm")


class Format(enum.StrEnum):
    """What a model can be written as: `inference.manifest.FORMATS`, and `export.state_dict.FORMATS`."""

    SAVED_MODEL = "saved-model"
    FROZEN = "frozen"
    TFLITE = "tflite"
    TFLITE_FP16 = "tflite-fp16"
    TFLITE_INT8 = "tflite-int8"
    ONNX = "onnx"
    SLIM_CHECKPOINT = "slim-checkpoint"
    TORCHVISION = "torchvision"
    TIMM = "timm"


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
            show_default="saved-model and tflite",
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
    out = out or _folder_beside(prefix)
    chosen = formats or [Format.SAVED_MODEL, Format.TFLITE]
    forms = list(dict.fromkeys(str(form) for form in chosen if form in STATE_DICTS))
    wanted = [str(form) for form in chosen if form not in STATE_DICTS]
    _check_state_dicts(prefix, out, forms, ema, others=len(set(chosen)) > 1)
    if not wanted:
        _show_state_dicts(prefix, out, _export_state_dicts(prefix, out, forms, ema), json_output)
        return
    from mnasnet_cli.export.exporter import export_model, raise_for_faults, rows_of

    outcomes = export_model(
        prefix,
        out,
        wanted,
        data=data,
        image_size=image_size,
        ema=ema,
        parity_images=parity_images,
        calibration_images=calibration_images,
    )
    state_dicts = _export_state_dicts(prefix, out, forms, ema)
    where = "generated images" if data is None else f"images of {data}"
    if json_output:
        artifacts = [outcome.as_dict() for outcome in outcomes] + state_dicts
        console.emit_json({"model": prefix, "out": str(out), "images": where, "artifacts": artifacts})
    else:
        columns = ("format", "MB", "largest difference", "agreement", "images", "file")
        caption = f"Beside the checkpoint, on {where}: differences of logits or scores, agreement of top-1 or of boxes."
        console.print_table(f"Export of {prefix}", columns, rows_of(outcomes), caption=caption)
        if state_dicts:
            _show_state_dicts(prefix, out, state_dicts, json_output)
    raise_for_faults(outcomes)


def _check_state_dicts(prefix: str, out: Path, forms: list[str], ema: bool, *, others: bool) -> None:
    """Refuses what can't be had before any format is written: unlike a converter, a net's table is quick to ask."""
    from mnasnet_cli.export.staging import check_replaceable
    from mnasnet_cli.export.state_dict import check_state_dict

    for form in forms:
        check_replaceable(out / form)
        try:
            check_state_dict(prefix, form, ema=ema)
        except CheckpointError as error:
            hint = f"; nothing is written, leave --format {form} out for the others" if others else ""
            raise CheckpointError(f"{error}{hint}") from error


def _export_state_dicts(prefix: str, out: Path, forms: list[str], ema: bool) -> list[dict[str, Any]]:
    """Writes those formats that other libraries' nets load."""
    from mnasnet_cli.export.staging import staged_folder
    from mnasnet_cli.export.state_dict import export_state_dict

    rows = []
    for form in forms:
        with staged_folder(out / form) as folder:
            row = export_state_dict(prefix, folder, form, ema=ema)
        path = out / form / Path(row["path"]).name
        rows.append({**row, "path": str(path), "ok": True, "fault": None, "parity": {"identical": True}})
    return rows


def _show_state_dicts(prefix: str, out: Path, rows: list[dict[str, Any]], json_output: bool) -> None:
    if json_output:
        console.emit_json({"model": prefix, "out": str(out), "images": None, "artifacts": rows})
        return
    cells = [(row["format"], row["bytes"] / 1e6, row["path"], row["code"]) for row in rows]
    caption = "Read again and compared: every tensor is identical."
    console.print_table(f"State dicts of {prefix}", ("format", "MB", "file", "to load it"), cells, caption=caption)


def _find(model: str | None, best: bool, data: Path | None) -> str:
    """The checkpoint to export; where none is named, that of the newest run, of the kind that the records are for."""
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.inference.runner import detect_model_format
    from mnasnet_cli.records.dataset_info import load_dataset_info
    from mnasnet_cli.runs.finding import newest_run

    if model is not None:
        form, _ = detect_model_format(model)
        if form != "checkpoint":
            raise CheckpointError(f"{model} is exported already ({form}); export the run or the checkpoint it is from")
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
    """The folder where records of the task are kept, if there are any."""
    from mnasnet_cli.records.shards import SPLITS, shard_groups

    folder = Path("data") / DATASETS[task]
    return folder if folder.is_dir() and {name for name, _ in shard_groups(folder)} & set(SPLITS) else None


def _folder_beside(prefix: str) -> Path:
    """`export` in the run of a checkpoint, or beside a checkpoint that is in no run."""
    from mnasnet_cli.checkpoints.files import BEST_FOLDER, CHECKPOINT_FOLDER

    folder = Path(prefix).parent
    whole = Path(os.path.abspath(folder))
    if whole.name not in (BEST_FOLDER, CHECKPOINT_FOLDER):
        return folder / "export"
    return (folder.parent if folder.name == whole.name else whole.parent) / "export"
