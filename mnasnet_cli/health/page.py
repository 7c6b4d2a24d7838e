"""Writes the health of a data set as one HTML file. It loads nothing from elsewhere and needs no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnasnet_cli.console import percent
from mnasnet_cli.health.contact_sheet import draw_contact_sheet
from mnasnet_cli.health.examination import Health
from mnasnet_cli.health.summary import QUANTILES, TINY
from mnasnet_cli.pages import html as pages
from mnasnet_cli.pages.html import Html, escape, table
from mnasnet_cli.records.findings import Finding
from mnasnet_cli.system.files import make_folder, write_atomically


def write_page(health: Health, title: str, path: Path) -> None:
    """Write the page of a data set. Raises DataError or EnvironmentProblem."""
    make_folder(path.parent)
    write_atomically(path, render_page(health, title))


def render_page(health: Health, title: str) -> str:
    """Return the HTML text. Names of files and classes are escaped."""
    found = health.to_json()
    sections = [
        _findings(health.findings.to_list()),
        _images(found["splits"]),
        _boxes(found["splits"]),
        _duplicates(found["duplicates"]),
        _oddest(health, found["oddest"]),
        _classes(found["classes"], list(found["splits"])),
    ]
    return pages.render_page(f"Health of {title}", sections)


def _findings(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<h2>Findings</h2>\n<p>Nothing odd was found.</p>"
    items = []
    for row in rows:
        finding = Finding(**row)
        items.append(f'<li><span class="{escape(finding.severity)}">{escape(finding.severity)}</span>: '
                     f"{escape(str(finding))}</li>")  # fmt: skip
    return "<h2>Findings</h2>\n<ul>\n" + "\n".join(items) + "\n</ul>"


def _images(splits: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (split, one["images"], one["classes"], one["images_per_class"]["min"], one["images_per_class"]["max"],
         ", ".join(f"{channels}: {count:,}" for channels, count in one["channels"].items()))
        for split, one in splits.items()
    ]  # fmt: skip
    columns = ("split", "images", "classes", "images of the smallest class", "of the largest class", "channels: images")
    sizes = [
        (split, name.replace("_", " "), *(one[name].get(quantile) for quantile in QUANTILES))
        for split, one in splits.items() for name in ("width", "height", "aspect_ratio", "bytes_per_pixel")
    ]  # fmt: skip
    return (
        "<h2>Images</h2>\n" + table(columns, rows) + "\n<h2>Sizes</h2>\n"
        + table(("split", "", "smallest", "5 %", "median", "95 %", "largest"), sizes)
        + "\n<p>Widths and heights are in px. The aspect ratio is the longer side divided by the shorter one.</p>"
    )  # fmt: skip


def _boxes(splits: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    sizes: dict[str, None] = {}
    for split, one in splits.items():
        if boxes := one.get("boxes"):
            sizes |= dict.fromkeys(boxes["under_8_px"])
            tiny = [f"{under['boxes']:,} ({percent(under['share'])})" for under in boxes["under_8_px"].values()]
            counts = [boxes[key] for key in ("boxes", "crowds", "small", "medium", "large", "images_without_boxes")]
            rows.append((split, *counts, boxes["boxes_per_image"].get("max"), *tiny))
    if not rows:
        return ""
    columns = ("split", "boxes", "crowds", "small", "medium", "large", "images without", "most in an image",
               *(f"under {TINY} px at {size} px" for size in sizes))  # fmt: skip
    return (
        "<h2>Boxes</h2>\n" + table(columns, rows)
        + "\n<p>Small, medium and large are COCO's: below 32² px, below 96² px, and from there. The last columns count"
        f" boxes whose shorter side is under {TINY} px when the image is resized to the training size.</p>"
    )  # fmt: skip


def _classes(classes: Sequence[Mapping[str, Any]], splits: Sequence[str]) -> str:
    if not classes:
        return ""
    parts = list(classes[0]["splits"][splits[0]]) if splits else []
    most = max((one["splits"][split]["images"] for one in classes for split in splits), default=0) or 1
    rows = []
    for one in classes:
        counts = [one["splits"][split][part] for split in splits for part in parts]
        share = 100 * one["splits"][splits[0]]["images"] / most
        bar = Html(f'<div style="width:7rem"><span class="bar" style="width:{share:.1f}%"></span></div>')
        rows.append((one["class"], one["name"], *counts, bar))
    columns = ("class", "name", *(f"{split} {part}" for split in splits for part in parts), f"{splits[0]} images")
    return (
        f"<h2>Classes</h2>\n<details open><summary>{len(classes):,} classes</summary>{table(columns, rows)}</details>"
    )


def _duplicates(found: Mapping[str, Any]) -> str:
    if not found["groups"]:
        return ""
    rows = [(f"copies within {split}", count) for split, count in found["repeated"].items()]
    rows += [(f"in {splits}", count) for splits, count in found["across_splits"].items()]
    rows.append(("pictures in several classes", found["across_classes"]))
    groups = [
        (number, " = ".join(map(_copies, group)))
        for number, group in enumerate(found["first_groups"], 1)
    ]  # fmt: skip
    hidden = found["groups"] - len(groups)
    more = f"<p>{hidden:,} more groups are not listed.</p>" if hidden else ""
    return (
        "<h2>Images with the same content</h2>\n" + table(("", "images"), rows)
        + table(("group", "images"), groups) + more
    )  # fmt: skip


def _copies(one: Mapping[str, Any]) -> str:
    label = f", {one['class']}" if "class" in one else ""
    times = f", {one['images']:,} times" if one["images"] > 1 else ""
    return f"{one['file']} ({one['split']}{label}{times})"


def _oddest(health: Health, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    sheet = base64.b64encode(draw_contact_sheet(health.collection, health.oddest())).decode()
    listed = [
        (number, odd["kind"], odd["value"], odd["split"], odd["file"], odd["class"] or "",
         f"{odd['width']}×{odd['height']}", f"{odd['shard']}, record {odd['record']}")
        for number, odd in enumerate(rows, 1)
    ]  # fmt: skip
    columns = ("", "oddest", "value", "split", "file", "class", "size, px", "place")
    return (
        '<h2>Oddest images</h2>\n<img alt="The images of the table below, numbered"'
        f' src="data:image/jpeg;base64,{sheet}">\n' + table(columns, listed)
    )  # fmt: skip
