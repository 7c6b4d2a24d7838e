"""`mnasnet eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import DataOption, JsonFlag
from mnasnet_cli.errors import ConfigError

MAX_CLASS_ROWS = 20  # of a data set with more classes, the table shows those with the lowest accuracy


def eval(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Run directory or checkpoint; default: the newest run.")
    ] = None,
    imagenet_val: Annotated[
        bool, typer.Option("--imagenet-val", help="Score a classifier on the validation records.")
    ] = False,
    data: DataOption = None,
    image_size: Annotated[
        int | None, typer.Option(metavar="PX", min=32, max=4096, help="Side of the crops; default: as trained.")
    ] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Images a step.")] = 64,
    ema: Annotated[bool, typer.Option("--ema/--no-ema", help="Use the averaged weights where there are any.")] = True,
    best: Annotated[bool, typer.Option("--best", help="Of a run, take the best checkpoint, not the newest.")] = False,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the confusion matrix and the worst images here.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Score a model on a validation split: top-1, top-5, loss and per-class accuracy."""
    if not imagenet_val:
        raise ConfigError("say what to evaluate on: `mnasnet eval --imagenet-val [MODEL]`")
    from mnasnet_cli.training.checkpoints import find_checkpoint
    from mnasnet_cli.training.evaluation import evaluate_classifier
    from mnasnet_cli.training.saved import newest_run

    prefix = find_checkpoint(model or str(newest_run("imagenet")), best=best)
    report = evaluate_classifier(
        prefix, data or Path("data/imagenet"), image_size=image_size, batch_size=batch_size, ema=ema, plots=plots
    )
    if json_output:
        console.emit_json(report)
    else:
        _print(report)


def _print(report: dict[str, Any]) -> None:
    weights = "averaged weights" if report["averaged"] else "last weights"
    title = f"{report['model']} on {report['data']}, {report['image_size']} px, {weights}"
    numbers = [(key, report[key]) for key in ("top1", "top5", "loss", "examples")]
    console.print_table(title, ["metric", "value"], numbers)
    rows = [row for row in report["per_class"] if row["top1"] is not None]
    shown = rows
    if len(rows) > MAX_CLASS_ROWS:
        shown = sorted(rows, key=lambda row: row["top1"])[:MAX_CLASS_ROWS]
    title = "Accuracy by class" if shown is rows else f"The {MAX_CLASS_ROWS} classes with the lowest accuracy"
    cells = [(row["class"], row["name"], row["examples"], row["top1"]) for row in shown]
    console.print_table(title, ["class", "name", "examples", "top1"], cells)
