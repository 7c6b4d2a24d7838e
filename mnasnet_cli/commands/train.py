"""`mnasnet train-imagenet` and `mnasnet train-coco`."""

from __future__ import annotations

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

# The options that set a configuration key, and that key.
OPTION_KEYS = {
    "variant": "model.variant",
    "width": "model.width",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "image_size": "data.image_size",
    "freeze": "finetune.freeze",
    "precision": "training.precision",
    "seed": "training.seed",
}


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
        typer.Option(metavar="MODEL", help="Start from the weights of this model; for other classes, with a new head."),
    ] = None,
    freeze: FreezeOption = None,
    fresh: FreshFlag = False,
    precision: PrecisionOption = None,
    seed: SeedOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Train a classifier on ImageNet-style records. The same command again continues an interrupted run.

    The recipe is --config, by default paper. A run that exists keeps its own configuration.
    """
    _train(
        "classification", "paper", init=init, data=data, run_dir=run_dir, fresh=fresh, config=config,
        assignments=assignments, json_output=json_output, variant=variant, width=width, epochs=epochs,
        batch_size=batch_size, image_size=image_size, freeze=freeze, precision=precision, seed=seed,
    )  # fmt: skip


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
        typer.Option(metavar="MODEL", help="Start from the weights of this classifier: a run or a checkpoint."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Start from the weights of this detector; for other classes, with a new predictor."
        ),
    ] = None,
    freeze: FreezeOption = None,
    fresh: FreshFlag = False,
    precision: PrecisionOption = None,
    seed: SeedOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Train a detector on COCO-style records. The same command again continues an interrupted run.

    The recipe is --config, by default retinanet. A run that exists keeps its own configuration.
    """
    if backbone and init:
        raise ConfigError("--backbone and --init both name a model to start from; use only one of them")
    _train(
        "detection", "retinanet", init=backbone or init, data=data, run_dir=run_dir, fresh=fresh, config=config,
        assignments=assignments, json_output=json_output, variant=variant, width=width, epochs=epochs,
        batch_size=batch_size, image_size=image_size, freeze=freeze, precision=precision, seed=seed,
    )  # fmt: skip


def _train(
    task: TaskName,
    default_config: str,
    *,
    init: str | None,
    data: Path | None,
    run_dir: Path | None,
    fresh: bool,
    config: str | None,
    assignments: list[str] | None,
    json_output: bool,
    **options: Any,
) -> None:
    """Train, or continue a run, and print the results. `options` are those of OPTION_KEYS."""
    settings, run_dir = _resolve_run(
        task,
        config,
        default_config,
        assignments=[*(_architecture_of(init) if init else ()), *(assignments or ())],
        flags={OPTION_KEYS[name]: value for name, value in options.items()},
        run_dir=run_dir,
        fresh=fresh,
    )
    from mnasnet_cli.training.run import train_with_restarts

    results = train_with_restarts(settings, data or Path("data") / DATASETS[task], run_dir, fresh=fresh, init=init)
    if json_output:
        console.emit_json({"run_dir": str(run_dir), **results})
        return
    rows = [(key, value) for key, value in results.items() if not isinstance(value, list)]
    console.print_table(f"Results of {run_dir}", ["", "value"], rows)


def _resolve_run(
    task: TaskName,
    config: str | None,
    default_config: str,
    *,
    assignments: list[str],
    flags: dict[str, Any],
    run_dir: Path | None,
    fresh: bool,
) -> tuple[Config, Path]:
    """Return the configuration and the directory of a run.

    Without --config and --fresh, a run that exists keeps its own configuration, and --set and flags change that. So the
    command with nothing but --run-dir continues the run.
    """
    from mnasnet_cli.runs.directory import read_config

    settings = load_config(config or default_config, task=task, assignments=assignments, flags=flags)
    run_dir = run_dir or Path("runs") / f"{DATASETS[task]}-{settings.model.variant}"
    stored = None if config or fresh else read_config(run_dir)
    if stored is not None:
        name = str(run_dir / "config.yaml")
        settings = load_config(base=stored, base_name=name, task=task, assignments=assignments, flags=flags)
    return settings, run_dir


def _architecture_of(model: str) -> list[str]:
    """Return the variant and the width of a trained model as `--set` assignments.

    Raises:
      CheckpointError: the model is an exported artifact; its batch norms are folded, so it can't be trained.
    """
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.checkpoints.reader import read_info
    from mnasnet_cli.inference.manifest import read_manifest
    from mnasnet_cli.inference.runner import detect_model_format

    model_format, path = detect_model_format(model)
    if model_format != "checkpoint":
        source = read_manifest(path).source
        raise CheckpointError(
            f"{model} is an exported artifact ({model_format}), which can't be trained; start from its source, {source}"
        )
    info = read_info(find_checkpoint(model))
    return [f"model.variant={info['variant']}", f"model.width={info['width']}"]
