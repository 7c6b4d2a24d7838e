"""`mnasnet import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import ImageSizeOption, JsonFlag, SetOption, VariantOption, WidthOption
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.weights.sources import fetch, is_published


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A .pth or .safetensors file, a TensorFlow checkpoint, an address, or a name from mnasnet models.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make, for the checkpoint.")],
    variant: VariantOption = None,
    width: WidthOption = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The classes, as labels.txt of records has them; default: ImageNet's or COCO's.",
        ),
    ] = None,
    image_size: ImageSizeOption = None,
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", metavar="HEX", help="Checksum of a download; or its first 8 digits or more."),
    ] = None,
    ema: Annotated[bool, typer.Option("--ema/--no-ema", help="Use the averaged weights where there are any.")] = True,
    assignments: SetOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Bring weights of torchvision, timm, the TPU code or TF-Slim into a checkpoint that every command takes.

    Which of them it is shows in the tensors' names. The preprocessing that belongs to the weights comes with them;
    --set changes it, or the net's details, such as --set model.net.padding=same. Downloads are kept in
    ~/.cache/mnasnet, or in $MNASNET_CACHE.
    """
    if variant is None and not is_published(source):
        raise ConfigError("say which net the weights are of: --variant, and --width unless it is 1")
    found = fetch(source, sha256=sha256)
    from mnasnet_cli.weights.importing import read_foreign, write_checkpoint

    published = found.published
    preprocessing, net = settings_of_export(Path(found.path))
    size_of_weights = published.image_size if published else preprocessing.pop("image_size", None)
    ours = {f"data.{key}": value for key, value in preprocessing.items()}
    ours |= {f"model.net.{key}": value for key, value in net.items()}
    imported = read_foreign(
        found.path,
        variant or (published.variant if published else ""),
        width or (published.width if published else 1.0),
        labels_file=labels,
        image_size=image_size or size_of_weights,
        assignments=[*(f"{key}={json.dumps(value)}" for key, value in ours.items()), *(assignments or ())],
        ema=ema,
    )
    if found.url is not None:
        imported.info["source"]["url"] = found.url
    prefix = write_checkpoint(imported, out)
    info = imported.info
    result: dict[str, Any] = {
        "model": str(out),
        "checkpoint": prefix,
        "kind": imported.kind.name,
        "variant": info["variant"],
        "width": info["width"],
        "classes": len(info["labels"]),
        "net": info["net"],
        "preprocessing": info["preprocessing"],
        "source": info["source"],
    }
    if json_output:
        console.emit_json(result)
        return
    left_out = info["source"]["outputs"] - len(info["labels"])
    details = {**info["net"], **info["preprocessing"]}
    rows = [
        ("source", imported.kind.title + (", averaged weights" if info["source"]["averaged"] else "")),
        ("net", f"{info['variant']} at width {info['width']:g}"),
        ("classes", f"{len(info['labels'])}" + (f" (outputs that stand for none: {left_out})" if left_out else "")),
        *((key.replace("_", " "), value) for key, value in details.items()),
    ]
    console.print_table(f"{out}: weights from {source}", ["", "value"], rows)


def settings_of_export(source: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the manifest beside weights that `mnasnet export` wrote sets in `data` and `model.net`; {} of others."""
    from mnasnet_cli.export.state_dict import FORMATS
    from mnasnet_cli.inference.manifest import read_settings

    settings = read_settings(source, ("slim-checkpoint", *FORMATS))
    return settings.get("preprocessing", {}), settings.get("net", {})
