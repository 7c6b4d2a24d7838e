"""`mnasnet train-imagenet` and `mnasnet train-coco`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.api.training import plan
from mnasnet_cli.commands.options import (
    BatchSizeOption,
    EpochsOption,
    FreezeOption,
    FreshFlag,
    JsonFlag,
    PrecisionOption,
    SeedOption,
    SetOption,
    VariantOption,
    config_option,
    data_option,
    image_size_option,
    run_dir_option,
    width_option,
)
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.screen.results import print_training
from mnasnet_cli.screen.starting import start_training
from mnasnet_cli.system.machine import process_age
from mnasnet_cli.training.timing import Timer

RecipeWidthOption = Annotated[float | None, width_option("the recipe's")]
RecipeImageSizeOption = Annotated[int | None, image_size_option("the recipe's")]


def train_imagenet(
    variant: VariantOption = None,
    width: RecipeWidthOption = None,
    data: Annotated[Path | None, data_option("data/imagenet")] = None,
    run_dir: Annotated[Path | None, run_dir_option("runs/imagenet-VARIANT")] = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    image_size: RecipeImageSizeOption = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Start from the weights of this model; for other classes, with a new head."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Learn from the answers of this classifier, in any format."),
    ] = None,
    freeze: FreezeOption = None,
    fresh: FreshFlag = False,
    precision: PrecisionOption = None,
    seed: SeedOption = None,
    config: Annotated[
        str | None, config_option("paper", "quick", "fast", "thorough", "finetune", "mobilenet-v2", "demo")
    ] = None,
    assignments: SetOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Train a classifier on ImageNet-style records. The same command again continues an interrupted run.

    The recipe is --config, by default paper. A run that exists keeps its own configuration.
    """
    _train(
        "classification", init=init, teacher=teacher, data=data, run_dir=run_dir, fresh=fresh, config=config,
        assignments=assignments, json_output=json_output, variant=variant, width=width, epochs=epochs,
        batch_size=batch_size, image_size=image_size, freeze=freeze, precision=precision, seed=seed,
    )  # fmt: skip


def train_coco(
    variant: VariantOption = None,
    width: RecipeWidthOption = None,
    data: Annotated[Path | None, data_option("data/coco")] = None,
    run_dir: Annotated[Path | None, run_dir_option("runs/coco-VARIANT")] = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    image_size: RecipeImageSizeOption = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Start from the weights of this classifier: a run or a checkpoint."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Start from the weights of this detector; for other classes, with a new predictor."
        ),
    ] = None,
    teacher: Annotated[str | None, typer.Option(metavar="MODEL", hidden=True, help="For classifiers only.")] = None,
    freeze: FreezeOption = None,
    fresh: FreshFlag = False,
    precision: PrecisionOption = None,
    seed: SeedOption = None,
    config: Annotated[str | None, config_option("retinanet", "lite", "anchor-free", "demo")] = None,
    assignments: SetOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Train a detector on COCO-style records. The same command again continues an interrupted run.

    The recipe is --config, by default retinanet. A run that exists keeps its own configuration.
    """
    if backbone and init:
        raise ConfigError("--backbone and --init both name a model to start from; use only one of them")
    _train(
        "detection", init=backbone or init, teacher=teacher, data=data, run_dir=run_dir, fresh=fresh, config=config,
        assignments=assignments, json_output=json_output, variant=variant, width=width, epochs=epochs,
        batch_size=batch_size, image_size=image_size, freeze=freeze, precision=precision, seed=seed,
    )  # fmt: skip


def _train(
    task: TaskName,
    *,
    config: str | None,
    data: Path | None,
    run_dir: Path | None,
    init: str | None,
    teacher: str | None,
    fresh: bool,
    assignments: list[str] | None,
    json_output: bool,
    **options: Any,
) -> None:
    """Train, or continue a run, and print the results. `options` are those of OPTION_KEYS."""
    timer = Timer(process_age())
    planned = plan(
        task, config, data=data, run_dir=run_dir, init=init, teacher=teacher, fresh=fresh,
        assignments=assignments or (), options=options,
    )  # fmt: skip
    start_training(task, planned.data)
    from mnasnet_cli.training.run import train_with_restarts

    results = train_with_restarts(**planned.arguments(), timer=timer)
    if json_output:
        console.emit_json({"run_dir": str(planned.run_dir), **results})
        return
    print_training(planned.run_dir, planned.data, results)
