"""`mnasnet models`: the variants with their cost and accuracy, and the published weights."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.api.catalogue import models as list_models
from mnasnet_cli.api.catalogue import net_table
from mnasnet_cli.commands.options import JsonFlag, image_size_option, width_option
from mnasnet_cli.errors import ConfigError


def models(
    variants: Annotated[
        list[str] | None,
        typer.Argument(metavar="VARIANT", help="Names, or files with the table of your own net.", show_default="all"),
    ] = None,
    width: Annotated[float | None, width_option("1")] = None,
    image_size: Annotated[int | None, image_size_option("that of each net")] = None,
    long: Annotated[bool, typer.Option("--long", help="Show address and checksum of the published weights.")] = False,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the table of one variant as a file for --variant, to start from.")
    ] = False,
    json_output: JsonFlag = False,
) -> None:
    """List the variants and the published weights.

    Variants: trainable parameters for 1,000 classes, multiply-adds, and published and measured accuracy on ImageNet's
    50,000 validation images.

    Published weights: accuracy and licence, as their publisher states them; with --long URL and checksum.
    `mnasnet import NAME OUT` downloads and converts them. --width and --image-size select among them.

    `mnasnet models b1 --yaml > net.yaml` writes the table of a net. Change it, and its name; `--variant net.yaml` then
    trains it.
    """
    if as_yaml:
        if len(variants or ()) != 1 or json_output:
            raise ConfigError("--yaml prints the table of one variant, e.g. mnasnet models b1 --yaml > net.yaml")
        console.emit_text(net_table((variants or [""])[0], width))
        return
    found = list_models(variants, width=width, image_size=image_size)
    if json_output:
        console.emit_json(found)
        return
    _print_variants(found["variants"], width or 1.0)
    _print_weights(found["weights"], every_size=image_size is not None, long=long)


def _print_variants(variants: list[dict[str, Any]], width: float) -> None:
    shown = [_published(variant) for variant in variants]
    sources = dict.fromkeys(row["source"] for row in shown if row)
    numbers = {source: number for number, source in enumerate(sources, 1)}
    measured = any(variant["measured"] for variant in variants)
    columns = ("variant", "px", "parameters", "multiply-adds", "published top-1", "top-5")
    console.print_table(
        f"Variants at width {width:g}",
        (*columns, "measured top-1") if measured else columns,
        [_row(variant, numbers)[: None if measured else -1] for variant in variants],
        caption="\n".join(f"[{number}] {source}" for source, number in numbers.items()) or None,
    )


def _print_weights(weights: list[dict[str, Any]], *, every_size: bool, long: bool) -> None:
    """Prints the published weights; those for images below 224 px only with --image-size, because there are many."""
    shown = [w for w in weights if every_size or w["image_size"] >= 224]
    if not shown:
        return
    notes = ["SHA-256: the first digits, if published; --json has all digits and the sources"] if long else []
    notes += [] if long else ["--long shows where they come from"]
    if len(shown) < len(weights):
        sizes = ", ".join(str(size) for size in sorted({w["image_size"] for w in weights if w["image_size"] < 224}))
        notes.append(f"{len(weights) - len(shown)} more are for smaller images: --image-size {sizes}")
    if long and not all(w["direct"] for w in shown):
        notes.append("*: a web page; save the file in a browser, then give it to mnasnet import")
    console.print_table(
        "Published weights (mnasnet import NAME OUT)",
        ("name", "variant", "px", "top-1", "licence", *(("SHA-256", "URL") if long else ())),
        [
            (
                w["name"],
                w["variant"] if w["width"] == 1.0 else f"{w['variant']} ×{w['width']:g}",
                w["image_size"],
                f"AP {_percent(w['average_precision'])}" if w["kind"] == "detector" else _percent(w["top1"]),
                w["licence"],
                *(((w["sha256"] or "–")[:8], w["url"] + ("" if w["direct"] else " *")) if long else ()),
            )
            for w in shown
        ],
        caption="\n".join(notes),
    )


def _published(variant: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first published accuracy at the image size of the variant."""
    return next((row for row in variant["published"] if row["image_size"] == variant["image_size"]), None)


def _row(variant: dict[str, Any], numbers: dict[str, int]) -> tuple[object, ...]:
    published = _published(variant)
    top1 = f"{_percent(published['top1'])} [{numbers[published['source']]}]" if published else "–"
    return (
        variant["name"],
        variant["image_size"],
        f"{variant['params']:,}",
        f"{variant['multiply_adds'] / 1e6:.1f} M",
        top1,
        _percent(published["top5"]) if published else "–",
        _percent(variant["measured"]["top1"]) if variant["measured"] else "–",
    )


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else console.percent(fraction)
