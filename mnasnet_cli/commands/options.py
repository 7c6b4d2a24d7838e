"""Options that several commands share."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli.config.net_table import check_name, is_net_file
from mnasnet_cli.errors import ConfigError, EnvironmentProblem
from mnasnet_cli.nets.spec import NETS


def _check_variant(name: str | None) -> str | None:
    """Return the variant. An unknown name is a ConfigError that names the nearest; a file is read later."""
    if name is not None and not is_net_file(name):
        check_name(name)
    return name


def _check_width(width: float | None) -> float | None:
    if width is not None and not (math.isfinite(width) and width > 0):
        raise ConfigError(f"--width must be a positive number, e.g. 0.5, not {width:g}")
    return width


def _parse_batch_size(text: str | None) -> Any:
    """Return a number as such; the configuration checks the rest."""
    return int(text) if text is not None and re.fullmatch(r"[-+]?[0-9]{1,18}", text.strip()) else text


JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")
]


def config_option(*recipes: str) -> Any:
    """Return --config with the recipes of a task; the first is the default."""
    names = f"{', '.join(recipes[:-1])} and {recipes[-1]}"
    return typer.Option(
        "--config",
        metavar="NAME|FILE",
        help=f"Recipe, or a YAML file. Recipes: {names}. Other options override its values.",
        show_default=recipes[0],
    )


def data_option(default: str) -> Any:
    """Return --data with the folder that is used without it."""
    return typer.Option("--data", metavar="DIR", help="Folder of records.", show_default=default)


def run_dir_option(default: str, of: str = "run") -> Any:
    """Return --run-dir with the folder that is used without it; of: what the folder holds."""
    return typer.Option("--run-dir", metavar="DIR", help=f"Folder of the {of}.", show_default=default)


def width_option(default: str) -> Any:
    """Return --width with the width that is used without it."""
    return typer.Option(
        "--width",
        metavar="X",
        help="Width multiplier: any positive number, e.g. 0.5.",
        callback=_check_width,
        show_default=default,
    )


def variant_option(callback: Any = None) -> Any:
    """Return --variant with a check of its value."""
    return typer.Option(
        "--variant",
        metavar="NAME|FILE",
        help=f"Variant of the net: {', '.join(NETS)}; or a file with the table of your own net.",
        callback=callback,
    )


def image_size_option(default: str) -> Any:
    """Return --image-size with the size that is used without it."""
    return typer.Option(
        "--image-size",
        metavar="PX",
        min=32,
        max=4096,
        help="Side of the net's input, in pixels.",
        show_default=default,
    )


SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one configuration key, e.g. optimizer.name=sgd; repeatable.",
    ),
]
VariantOption = Annotated[str | None, variant_option(_check_variant)]
DataOption = Annotated[Path | None, data_option("data/imagenet or data/coco")]
OwnImageSizeOption = Annotated[int | None, image_size_option("the model's own")]
BatchSizeOption = Annotated[
    str | None,
    typer.Option(
        "--batch-size",
        metavar="N|auto",
        callback=_parse_batch_size,
        help="Images per update of the weights; auto: as many as memory has room for.",
        show_default="the recipe's",
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option("--epochs", metavar="N", min=1, help="Passes over the training images.", show_default="the recipe's"),
]
FreshFlag = Annotated[bool, typer.Option("--fresh", help="Start over. What the folder holds is moved aside.")]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="float32|bfloat16",
        help="Data type of the computation.",
        show_default="the recipe's",
    ),
]
FreezeOption = Annotated[
    str | None,
    typer.Option(
        "--freeze",
        metavar="LAYERS",
        help="Layers that are not trained: stem, layer_N (every layer up to and including it) or backbone.",
        show_default="the recipe's",
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        help="Seed of the weights, the image order and augmentation.",
        show_default="the recipe's",
    ),
]
EmaFlag = Annotated[
    bool, typer.Option("--ema/--no-ema", help="Use the averaged (EMA) weights of a checkpoint that has them.")
]
BestFlag = Annotated[bool, typer.Option("--best", help="Use a run's best checkpoint instead of its newest.")]


def check_writable(option: str, path: Path | None, *, folder: bool = False) -> None:
    """Check that a path for results can be written, before the work starts.

    Args:
      option: the option's name, for messages.
      path: None: nothing is checked.
      folder: whether the path is for a folder instead of a file.

    Raises:
      ConfigError: the path exists and is a folder instead of a file, or the other way round.
      EnvironmentProblem: the path can't be written.
    """
    if path is None:
        return
    if os.path.exists(path) and os.path.isdir(path) != folder:
        found, expected = ("file", "folder") if folder else ("folder", "file")
        raise ConfigError(f"{option} {path} is a {found}; name a {expected}")
    candidates = (path, *path.absolute().parents) if folder else path.absolute().parents
    # The deepest folder that exists; os.path.exists is False, not an error, below an unreadable one.
    existing = next(candidate for candidate in candidates if os.path.exists(candidate))
    if not existing.is_dir():
        raise EnvironmentProblem(f"{option} {path} can't be written: {existing} is a file; choose another path")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"{option} {path} can't be written: {existing} is read-only; choose another path")
