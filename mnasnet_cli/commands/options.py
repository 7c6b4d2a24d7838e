"""Options that several commands share, so that a flag means the same everywhere."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated

import typer

from mnasnet_cli.errors import ConfigError, EnvironmentProblem, nearest


def _check_variant(name: str | None) -> str | None:
    """Turn an unknown variant into an error that names the nearest one."""
    if name is not None:
        from mnasnet_cli.nets.spec import NETS

        if name not in NETS:
            known = ", ".join(NETS)
            raise ConfigError(f"unknown variant '{name}' (known: {known}){nearest(name, NETS)}")
    return name


def _check_width(width: float | None) -> float | None:
    if width is not None and not (math.isfinite(width) and width > 0):
        raise ConfigError(f"--width must be a positive number such as 0.5 or 1.0, not {width:g}")
    return width


JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")
]
ConfigOption = Annotated[
    str | None,
    typer.Option("--config", metavar="NAME|FILE", help="A shipped configuration's name, or a YAML file."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one configuration value, e.g. optimizer.name=sgd; repeatable.",
    ),
]
VariantOption = Annotated[
    str | None,
    typer.Option("--variant", metavar="NAME", help="a1, b1, small, d1, a1-2019 or b1-2019.", callback=_check_variant),
]
WidthOption = Annotated[
    float | None,
    typer.Option(
        "--width", metavar="X", help="Width multiplier, e.g. 0.5; any positive number.", callback=_check_width
    ),
]
DataOption = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Folder that holds the records.")]
RunDirOption = Annotated[Path | None, typer.Option("--run-dir", metavar="DIR", help="Folder that holds the run.")]
ImageSizeOption = Annotated[
    int | None,
    typer.Option("--image-size", metavar="PX", min=32, max=4096, help="Side of the net's input, in pixels."),
]
BatchSizeOption = Annotated[int | None, typer.Option("--batch-size", metavar="N", min=1, help="Images a step.")]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", metavar="N", min=1, help="Passes over the training images.")
]
FreshFlag = Annotated[bool, typer.Option("--fresh", help="Begin anew; an older run is moved aside.")]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", metavar="float32|bfloat16", help="Type of the computation.")
]
FreezeOption = Annotated[
    str | None,
    typer.Option(
        "--freeze",
        metavar="PART",
        help="Keep a part of the net as it begins: stem, layer_N (the layers up to it) or backbone.",
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Seed of everything random.")]


def check_writable(option: str, path: Path | None, *, folder: bool = False) -> None:
    """Refuse a place that can't be written, before the work whose results would go there."""
    if path is None:
        return
    if os.path.exists(path) and os.path.isdir(path) != folder:
        found, expected = ("file", "folder") if folder else ("folder", "file")
        raise ConfigError(f"{option} {path} is a {found}; name a {expected}")
    places = (path, *path.absolute().parents) if folder else path.absolute().parents
    above = next(place for place in places if os.path.exists(place))  # False where one may not look
    if not above.is_dir():
        raise EnvironmentProblem(f"{option} {path} can't be written: {above} is a file; name another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise EnvironmentProblem(f"{option} {path} can't be written: {above} is read-only; name another place")
