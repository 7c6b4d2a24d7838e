"""`mnasnet train-imagenet`."""

from __future__ import annotations

from typing import Annotated

import typer

from mnasnet_cli.commands.options import (
    BatchSizeOption,
    ConfigOption,
    DataOption,
    EpochsOption,
    FreezeOption,
    FreshFlag,
    ImageSizeOption,
    JsonFlag,
    PrecisionOption,
    RunDirOption,
    SeedOption,
    SetOption,
    VariantOption,
    WidthOption,
)
from mnasnet_cli.commands.training import resolve_run, run_and_show


def train_imagenet(
    variant: VariantOption = None,
    width: WidthOption = None,
    data: DataOption = None,
    run_dir: RunDirOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    image_size: ImageSizeOption = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Start from this model's weights; other classes get a new head."),
    ] = None,
    freeze: FreezeOption = None,
    fresh: FreshFlag = False,
    precision: PrecisionOption = None,
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
        "finetune.freeze": freeze,
    }
    settings, run_dir = resolve_run(
        "imagenet",
        default_config="paper",
        config=config,
        assignments=assignments,
        flags=flags,
        run_dir=run_dir,
        fresh=fresh,
        init=init,
    )
    run_and_show(settings, data, run_dir, fresh=fresh, init=init, json_output=json_output)
