"""`mnasnet models`: the nets, what they cost, and how well they are known to do."""

from __future__ import annotations

import dataclasses
from typing import Any

from mnasnet_cli import console
from mnasnet_cli.commands.options import ImageSizeOption, JsonFlag, WidthOption
from mnasnet_cli.nets.spec import NETS, PUBLISHED, count_parameters, get_spec, multiply_adds

# Accuracies that this project measured on the ImageNet validation set, (net, width) → {"top1": …, "top5": …}.
# Empty: no run on the whole of ImageNet yet; what was measured on smaller sets is in docs/results.md.
MEASURED: dict[tuple[str, float], dict[str, float]] = {}


def models(width: WidthOption = None, image_size: ImageSizeOption = None, json_output: JsonFlag = False) -> None:
    """List every variant: parameters, multiply-adds, published and measured accuracy.

    Parameters are the trainable ones at 1000 classes; accuracies are of ImageNet's 50,000 validation images.
    """
    variants = [describe(name, width or 1.0, image_size) for name in NETS]
    if json_output:
        console.emit_json({"variants": variants})
        return
    shown = [_published(variant) for variant in variants]
    sources = dict.fromkeys(row["source"] for row in shown if row)
    numbers = {source: number for number, source in enumerate(sources, 1)}
    console.print_table(
        f"MnasNet at width {width or 1.0:g}",
        ("variant", "input", "parameters", "multiply-adds", "published top-1", "top-5", "measured top-1"),
        [_row(variant, numbers) for variant in variants],
        caption="\n".join(f"[{number}] {source}" for source, number in numbers.items()) or None,
    )


def describe(name: str, width: float, image_size: int | None) -> dict[str, Any]:
    """Return what is known of a net at a width and an input of `image_size` pixels (the net's own where None)."""
    spec = get_spec(name, width)
    published = [dataclasses.asdict(row) for row in PUBLISHED if (row.net, row.width) == (name, width)]
    return {
        "name": name,
        "width": width,
        "image_size": image_size or spec.image_size,
        "params": count_parameters(spec),
        "multiply_adds": multiply_adds(spec, image_size),
        "published": [{key: row[key] for key in ("top1", "top5", "image_size", "source")} for row in published],
        "measured": MEASURED.get((name, width)),
    }


def _published(variant: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first published accuracy that is of the size asked for."""
    return next((row for row in variant["published"] if row["image_size"] == variant["image_size"]), None)


def _row(variant: dict[str, Any], numbers: dict[str, int]) -> tuple[object, ...]:
    published = _published(variant)
    top1 = f"{_percent(published['top1'])} [{numbers[published['source']]}]" if published else "–"
    return (
        variant["name"],
        f"{variant['image_size']} px",
        f"{variant['params']:,}",
        f"{variant['multiply_adds'] / 1e6:.1f} M",
        top1,
        _percent(published["top5"]) if published else "–",
        _percent(variant["measured"]["top1"]) if variant["measured"] else "–",
    )


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"
