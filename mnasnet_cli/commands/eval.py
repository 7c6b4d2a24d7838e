"""`mnasnet eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import BestFlag, DataOption, EmaFlag, JsonFlag, OwnImageSizeOption, check_writable
from mnasnet_cli.config.task_names import DATASETS, TaskName
from mnasnet_cli.console import class_columns, percent
from mnasnet_cli.errors import CheckFailed, CheckpointError, ConfigError, nearest
from mnasnet_cli.records.shards import SPLITS, find_shards
from mnasnet_cli.screen.starting import load_model

if TYPE_CHECKING:
    from mnasnet_cli.api.model import Model

ACCURACIES = ("top1", "top5")  # what --require knows of a classifier; of a detector the twelve COCO numbers
MAX_CLASS_ROWS = 20  # of a data set with more classes, the table shows those with the lowest accuracy


def eval(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="Run, checkpoint or exported artifact.", show_default="the newest run of the task"
        ),
    ] = None,
    imagenet_val: Annotated[
        bool, typer.Option("--imagenet-val", help="MODEL must be a classifier; without MODEL: the newest one.")
    ] = False,
    coco_val: Annotated[
        bool, typer.Option("--coco-val", help="MODEL must be a detector; without MODEL: the newest one.")
    ] = False,
    data: DataOption = None,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="Images to evaluate on: validation, test or train.")
    ] = "validation",
    image_size: OwnImageSizeOption = None,
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Images per step.", show_default="64; detectors 16"),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="CPU threads.", show_default="all cores"),
    ] = None,
    ema: EmaFlag = True,
    best: BestFlag = False,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for plots and the best and worst images.")
    ] = None,
    detections: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="File for a detector's boxes in COCO's results format.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=X", help="Exit with code 3 if this metric, e.g. top1 or AP50, is below X; repeatable."
        ),
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Evaluate a model on records: accuracy of a classifier, the 12 COCO metrics of a detector.

    The task follows from MODEL. Tables show percentages, --json fractions.
    """
    if imagenet_val and coco_val:
        raise ConfigError("--imagenet-val is for classifiers and --coco-val for detectors; use only one of them")
    if model is None and not (imagenet_val or coco_val):
        raise ConfigError(
            "name a MODEL, or say which newest run to evaluate: `mnasnet eval --imagenet-val` or "
            "`mnasnet eval --coco-val`"
        )
    if split not in SPLITS:
        raise ConfigError(f"--split {split}: there are {', '.join(SPLITS)}{nearest(split, SPLITS)}")
    check_writable("--plots", plots, folder=True)
    check_writable("--detections", detections)
    options: dict[str, Any] = {"image_size": image_size, "ema": ema, "best": best, "threads": threads}
    task: TaskName | None = "detection" if coco_val else "classification" if imagenet_val else None
    if task is not None:
        _check_for_task(task, detections, require)  # before TensorFlow starts, like the next check
    folder = data or (Path("data") / DATASETS[task] if task is not None else None)
    if folder is not None and not folder.is_dir():
        find_shards(folder, split, task and DATASETS[task])  # says how to make it
    opened = _open(model, task, **options)
    asked = _check_for_task(opened.task, detections, require)
    is_detector = opened.task == "detection"
    report = opened.evaluate(data, split, batch_size=batch_size, plots=plots, detections=detections)
    if json_output:
        console.emit_json(report)
    else:
        _show(report, is_detector)
    missed = [f"{key} is {_number(report[key])}" for key, least in asked.items() if not (report[key] or 0.0) >= least]
    if missed:
        raise CheckFailed(f"{', '.join(missed)}; asked for were {', '.join(require or [])}")


def _open(model: str | None, task: TaskName | None, **options: Any) -> Model:
    """Open the model, or the newest run of the task. A model of another task is a CheckpointError."""
    if model is None:
        from mnasnet_cli.runs.finding import newest_run

        assert task is not None
        model = str(newest_run(task))
    opened = load_model(model, **options)
    if task is not None and opened.task != task:
        other = f"mnasnet eval --{DATASETS[opened.task]}-val"
        raise CheckpointError(f"{model} holds a {opened.kind}; score it with `{other}`")
    return opened


def _check_for_task(task: TaskName, detections: Path | None, require: list[str] | None) -> dict[str, float]:
    """Return what --require asks for; an option that is not for the task is a ConfigError."""
    if task == "classification" and detections is not None:
        raise ConfigError("--detections is for detectors, but the model is a classifier; remove it")
    return _parse_required(require or [], task == "detection")


def _parse_required(assignments: list[str], coco_val: bool) -> dict[str, float]:
    """Turn ["top1=0.7"] into {"top1": 0.7}; what is no number of the report is a ConfigError."""
    from mnasnet_cli.metrics.coco_map import COCO_METRICS

    known = COCO_METRICS if coco_val else ACCURACIES
    asked = {}
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        if key not in known:
            hint = nearest(key, known)
            raise ConfigError(f"--require {assignment}: no number '{key}' (there are {', '.join(known)}){hint}")
        try:
            asked[key] = float(value)
        except ValueError:
            raise ConfigError(f"--require is KEY=X with a fraction X, such as {key}=0.7, not '{assignment}'") from None
        if not 0.0 <= asked[key] <= 1.0:
            raise ConfigError(f"--require {assignment}: expected a fraction from 0 to 1, such as {key}=0.7")
    return asked


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _loss(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def _show(report: dict[str, Any], coco_val: bool) -> None:
    weights = "averaged weights" if report["averaged"] else "last weights"
    images = "" if report["split"] == "validation" else f", {report['split']} images"
    title = f"{report['model']} on {report['data']}{images}, {report['image_size']} px, {weights}"
    if coco_val:
        print_coco_numbers(title, report)
    else:
        _print_accuracies(title, report)


def print_coco_numbers(title: str, summary: dict[str, Any]) -> None:
    """Prints the twelve COCO numbers and AP per class of a summary that holds them."""
    from mnasnet_cli.metrics import coco_report as library
    from mnasnet_cli.metrics.coco_map import COCO_METRICS

    known = summary.get("images_trained_on")
    memory = f"{known} of the {summary['images']} images were trained on, too: this scores memory" if known else None
    numbers = [(name, library.MEANINGS[name], percent(summary[name])) for name in COCO_METRICS]
    console.print_table(title, ["number", "what", "value"], numbers, caption=memory)
    annotated = [row for row in summary["per_class"] if row["AP"] is not None]
    left_out = len(summary["per_class"]) - len(annotated)
    caption = f"{console.plural(left_out, 'class', 'classes')} without annotations left out" if left_out else None
    heads, names = class_columns([(row["class"], row["name"]) for row in annotated])
    cells = [
        (*name, row["annotations"], percent(row["AP"]), percent(row["AP50"]))
        for name, row in zip(names, annotated, strict=True)
    ]
    if cells:
        console.print_table("AP per class", [*heads, "boxes", "AP", "AP50"], cells, caption=caption)


def _print_accuracies(title: str, report: dict[str, Any]) -> None:
    numbers = [(key, percent(report[key])) for key in ACCURACIES]
    others = [("loss", _loss(report["loss"])), ("examples", f"{report['examples']:,}")]
    console.print_table(title, ["metric", "value"], [*numbers, *others])
    rows = [row for row in report["per_class"] if row["top1"] is not None]
    shown = rows
    if len(rows) > MAX_CLASS_ROWS:
        shown = sorted(rows, key=lambda row: row["top1"])[:MAX_CLASS_ROWS]
    title = "Accuracy by class" if shown is rows else f"The {MAX_CLASS_ROWS} classes with the lowest accuracy"
    heads, names = class_columns([(row["class"], row["name"]) for row in shown])
    cells = [(*name, row["examples"], percent(row["top1"])) for name, row in zip(names, shown, strict=True)]
    console.print_table(title, [*heads, "examples", "top1"], cells)
