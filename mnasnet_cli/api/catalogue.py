"""The variants of the net, and the weights that others published."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from mnasnet_cli.config.net_table import NetTable, resolve_variant
from mnasnet_cli.nets.spec import NETS, PUBLISHED, count_parameters, get_spec, multiply_adds
from mnasnet_cli.weights.registry import WEIGHTS, PublishedWeights

# Accuracies measured by this project on the ImageNet validation set: (net, width) → {"top1": …, "top5": …}.
# Empty: there is no run on all of ImageNet yet. Measurements on smaller sets are in docs/explanation/results.md.
MEASURED: dict[tuple[str, float], dict[str, float]] = {}


def models(
    variants: Sequence[str | os.PathLike[str]] | None = None,
    *,
    width: float | None = None,
    image_size: int | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Return what `mnasnet models --json` prints: every variant, and the published weights.

    >>> {row["name"]: row["params"] for row in models()["variants"]}["b1"]
    4383312

    Args:
      variants: names, or files with the tables of your own nets; None: every built-in variant. Only weights of these
        are listed.
      width: of the variants; None: 1. Only weights of this width are listed; None: of all widths.
      image_size: for which multiply-adds are counted, px; None: that of each net. Only weights of this size are listed;
        None: of all sizes.

    Returns:
      "variants": name, width, image_size (px), params (trainable, for 1,000 classes), multiply_adds (for one image),
      published and measured accuracy as fractions, and for your own nets `table`, the digest; "weights": name, address,
      licence, accuracy and checksum.

    Raises:
      ConfigError: a name is unknown, or a file is not a valid table.
    """
    chosen = [w for w in WEIGHTS if width in (None, w.width) and image_size in (None, w.image_size)]
    nets: list[tuple[str, NetTable | None]] = [(name, None) for name in NETS]
    if variants:
        nets = [resolve_variant(os.fspath(variant)) for variant in variants]
        names = [name for name, _ in nets]
        chosen = [w for w in chosen if w.variant in names]
    return {
        "variants": [_describe(name, table, width or 1.0, image_size) for name, table in nets],
        "weights": [_describe_weights(weights) for weights in chosen],
    }


def _describe_weights(weights: PublishedWeights) -> dict[str, Any]:
    """Return a registry entry as a dict; `others` are files with the same weights."""
    found = dataclasses.asdict(weights)
    return {"name": weights.name, "kind": weights.kind, **found.pop("file"), **found}


def net_table(variant: str | os.PathLike[str], width: float | None = None) -> str:
    """Return the table of a net as YAML, to start a net of your own from: what `mnasnet models VARIANT --yaml` prints.

    Args:
      variant: a name, or a file with the table of your own net.
      width: of the net; the table then has the channels of this width, and a name of its own. None: 1.

    Raises:
      ConfigError: the name is unknown, or the file is not a valid table.
    """
    name, table = resolve_variant(os.fspath(variant))
    spec = get_spec(table.spec if table else name, width or 1.0)
    return NetTable.from_spec(spec, name if spec.width == 1.0 else f"{name}-x{spec.width:g}").to_yaml()


def _describe(name: str, table: NetTable | None, width: float, image_size: int | None) -> dict[str, Any]:
    """Return cost and accuracy of a variant at a width and an image size in px (the default of the net if None)."""
    spec = get_spec(table.spec if table else name, width)
    published = [dataclasses.asdict(row) for row in PUBLISHED if (row.net, row.width) == (name, width)]
    return {
        "name": name,
        "width": width,
        "image_size": image_size or spec.image_size,
        "params": count_parameters(spec),
        "multiply_adds": multiply_adds(spec, image_size),
        "published": [{key: row[key] for key in ("top1", "top5", "image_size", "source")} for row in published],
        "measured": MEASURED.get((name, width)),
        **({"table": table.digest} if table else {}),
    }
