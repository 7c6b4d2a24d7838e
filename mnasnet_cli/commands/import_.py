"""`mnasnet import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import EmaFlag, JsonFlag, SetOption, image_size_option, variant_option, width_option
from mnasnet_cli.config.net_table import check_name, is_net_file, net_label, resolve_variant
from mnasnet_cli.config.task_names import parse_task
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.nets.spec import NETS
from mnasnet_cli.screen import next_steps
from mnasnet_cli.weights.sources import fetch, is_published

if TYPE_CHECKING:
    from mnasnet_cli.inference.manifest import ExportedSettings


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A .pth or .safetensors file, a TensorFlow checkpoint, a URL, or a name that mnasnet models lists.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the checkpoint.")],
    variant: Annotated[str | None, variant_option()] = None,
    width: Annotated[float | None, width_option("1, or that of the published weights")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of classes, like labels.txt of records.",
            show_default="the classes of ImageNet or COCO",
        ),
    ] = None,
    image_size: Annotated[int | None, image_size_option("that of the weights")] = None,
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", metavar="HEX", help="SHA-256 of the download, or at least its first 8 digits."),
    ] = None,
    ema: EmaFlag = True,
    assignments: SetOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Convert weights of torchvision, timm, the TPU code or TF-Slim to a checkpoint for every command.

    The format is detected from the tensor names. The checkpoint includes the preprocessing of the weights. --set
    changes it or a setting of the net, for example --set model.net.padding=same. Downloads are cached in
    ~/.cache/mnasnet, or in $MNASNET_CACHE.
    """
    if variant is None and not is_published(source):
        raise ConfigError("name the net of the weights with --variant, and with --width if that is not 1")
    _check_variant(variant, Path(source))
    local = fetch(source, sha256=sha256)
    console.begin(f"reading {local.path}")
    from mnasnet_cli.weights.importing import import_weights, write_checkpoint

    published = local.published
    exported = exported_settings(Path(local.path))
    name, table = variant or (published.variant if published else ""), exported.table
    if table is None or name != table.name:
        name, table = resolve_variant(name)
    preprocessing = dict(exported.preprocessing)
    if published and published.crop_fraction is not None:
        preprocessing.setdefault("crop_fraction", published.crop_fraction)
    default_size = published.image_size if published else preprocessing.pop("image_size", None)
    settings = {f"data.{key}": value for key, value in preprocessing.items()}
    settings |= {f"model.net.{key}": value for key, value in exported.net.items()}
    imported = import_weights(
        local.path,
        name,
        width or (published.width if published else 1.0),
        table=table,
        labels_file=labels,
        image_size=image_size or default_size,
        assignments=[*(f"{key}={json.dumps(value)}" for key, value in settings.items()), *(assignments or ())],
        ema=ema,
    )
    if local.url is not None:
        imported.info["source"]["url"] = local.url
    prefix = write_checkpoint(imported, out)
    info = imported.info
    if json_output:
        console.emit_json({"model": str(out), "checkpoint": prefix, "kind": imported.format.name, **_summary(info)})
        return
    console.print_table(f"{out}: weights from {source}", ["", "value"], _rows(imported.format.title, info))
    next_steps.show(next_steps.after_import(parse_task(info["task"]), out))


def _summary(info: dict[str, Any]) -> dict[str, Any]:
    """Return the net, the preprocessing and the source of imported weights, for JSON."""
    return {
        "variant": info["variant"],
        "width": info["width"],
        "classes": len(info["labels"]),
        "net": info["net"],
        "preprocessing": info["preprocessing"],
        "source": info["source"],
    }


def _check_variant(variant: str | None, source: Path) -> None:
    """Raise ConfigError, before a download, if neither a built-in net nor that of the manifest has this name."""
    if variant is None or variant in NETS or is_net_file(variant):
        return
    table = exported_settings(source).table
    if table is None or table.name != variant:
        check_name(variant)


def _rows(title: str, info: dict[str, Any]) -> list[tuple[str, Any]]:
    """The rows of the table: source, net, classes, net settings and preprocessing."""
    unused = info["source"]["outputs"] - len(info["labels"])
    settings = {**info["net"], **info["preprocessing"]}
    return [
        ("source", title + (", averaged weights" if info["source"]["averaged"] else "")),
        ("net", f"{net_label(info)} at width {info['width']:g}"),
        ("classes", f"{len(info['labels'])}" + (f" ({unused} outputs without a class were dropped)" if unused else "")),
        *((key.replace("_", " "), value) for key, value in settings.items() if value is not None),
    ]


def exported_settings(source: Path) -> ExportedSettings:
    """What the manifest that `mnasnet export` wrote beside weights says; all is empty if there is none.

    Raises:
      CheckpointError: the weights are damaged.
    """
    from mnasnet_cli.export.artifact import STATE_DICT_FORMATS
    from mnasnet_cli.inference.manifest import read_settings
    from mnasnet_cli.inference.verification import verify_artifact

    verify_artifact(source)
    return read_settings(source, ("slim-checkpoint", *STATE_DICT_FORMATS))
