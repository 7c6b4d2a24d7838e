"""`mnasnet train-imagenet`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import (
    BatchSizeOption,
    ConfigOption,
    DataOption,
    ImageSizeOption,
    JsonFlag,
    RunDirOption,
    SeedOption,
    SetOption,
    VariantOption,
    WidthOption,
)
from mnasnet_cli.commands.training import resolve_run


def train_imagenet(
    variant: VariantOption = None,
    width: WidthOption = None,
    data: DataOption = None,
    run_dir: RunDirOption = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", min=1, help="Passes over the training images.")] = None,
    batch_size: BatchSizeOption = None,
    image_size: ImageSizeOption = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Start from this model's weights; other classes get a new head."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew; an older run is moved aside.")] = False,
    precision: Annotated[str | None, typer.Option(metavar="float32|bfloat16", help="Type of the computation.")] = None,
    seed: SeedOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Train a classifier on ImageNet-style records; the same command again goes on where it stopped."""
    flags = {
        "model.variant": variant,
        "model.width": width,
        "data.image_size": image_size,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "training.precision": precision,
        "training.seed": seed,
    }
    settings, run_dir = resolve_run(
        "imagenet",
        default_config="paper",
        config=config,
        assignments=assignments,
        flags=flags,
        run_dir=run_dir,
        fresh=fresh,
    )
    from mnasnet_cli.training.run import train_or_start_again

    results = train_or_start_again(settings, data or Path("data/imagenet"), run_dir, fresh=fresh, init=init)
    if json_output:
        console.emit_json({"run_dir": str(run_dir), **results})
        return
    rows = [(key, value) for key, value in results.items() if not isinstance(value, list)]
    console.print_table(f"Results of {run_dir}", ["", "value"], rows)
