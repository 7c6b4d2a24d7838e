"""`mnasnet train-imagenet` and `mnasnet train-coco`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
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
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import Config
from mnasnet_cli.config.task_names import DATASETS, TaskName
from mnasnet_cli.errors import CheckpointError, ConfigError


def resolve_run(
    task: TaskName,
    *,
    default_config: str,
    config: str | None,
    assignments: list[str] | None,
    flags: Mapping[str, Any],
    run_dir: Path | None,
    fresh: bool,
    init: str | None = None,
) -> tuple[Config, Path]:
    """The configuration and the directory of a run.

    Where the directory already holds a run, and no other --config is asked for, its own configuration is what flags
    and --set change: the bare command goes on with what was begun. Variant and width are those of `init` unless they
    are asked for.
    """
    from mnasnet_cli.runs.directory import read_config

    assignments = [*(_net_of(init) if init else ()), *(assignments or ())]
    asked = load_config(config or default_config, task=task, assignments=assignments, flags=flags)
    run_dir = run_dir or Path("runs") / f"{DATASETS[task]}-{asked.model.variant}"
    before = None if config or fresh else read_config(run_dir)
    if before is not None:
        name = str(run_dir / "config.yaml")
        asked = load_config(base=before, base_name=name, task=task, assignments=assignments, flags=flags)
    return asked, run_dir


def _net_of(model: str) -> list[str]:
    """The variant and the width of a trained model, as --set has them.

    Raises:
      CheckpointError: nothing can be trained from it; an artifact's batch norms are folded into its kernels.
    """
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.checkpoints.reader import read_info
    from mnasnet_cli.inference.manifest import read_manifest
    from mnasnet_cli.inference.runner import recognise

    form, place = recognise(model)
    if form != "checkpoint":
        source = read_manifest(place).source
        raise CheckpointError(f"{model} is an exported artifact ({form}); start from what it was made of, {source}")

    info = read_info(find_checkpoint(model))
    return [f"model.variant={info['variant']}", f"model.width={info['width']}"]


def run_and_show(
    settings: Config, data: Path | None, run_dir: Path, *, fresh: bool, init: str | None, json_output: bool
) -> None:
    """Trains, or goes on training, and prints the results."""
    from mnasnet_cli.training.run import train_or_start_again

    results = train_or_start_again(settings, data or Path("data") / settings.dataset, run_dir, fresh=fresh, init=init)
    if json_output:
        console.emit_json({"run_dir": str(run_dir), **results})
        return
    rows = [(key, value) for key, value in results.items() if not isinstance(value, list)]
    console.print_table(f"Results of {run_dir}", ["", "value"], rows)


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
        "classification",
        default_config="paper",
        config=config,
        assignments=assignments,
        flags=flags,
        run_dir=run_dir,
        fresh=fresh,
        init=init,
    )
    run_and_show(settings, data, run_dir, fresh=fresh, init=init, json_output=json_output)


def train_coco(
    variant: VariantOption = None,
    width: WidthOption = None,
    data: DataOption = None,
    run_dir: RunDirOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    image_size: ImageSizeOption = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Start from this classifier: a run directory or a checkpoint."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Start from all of this detector; other classes get a new predictor."),
    ] = None,
    freeze: FreezeOption = None,
    fresh: FreshFlag = False,
    precision: PrecisionOption = None,
    seed: SeedOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Train a detector on COCO-style records; the same command again goes on where it stopped."""
    if backbone and init:
        raise ConfigError("--backbone and --init both say what to start from; give one of them")
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
        "detection",
        default_config="retinanet",
        config=config,
        assignments=assignments,
        flags=flags,
        run_dir=run_dir,
        fresh=fresh,
        init=backbone or init,
    )
    run_and_show(settings, data, run_dir, fresh=fresh, init=backbone or init, json_output=json_output)
