"""Prints the health of a data set on the terminal: in full for `inspect`, in short at the end of a preparation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mnasnet_cli import console
from mnasnet_cli.health.summary import TINY
from mnasnet_cli.records.findings import Finding
from mnasnet_cli.records.keys import COCO_SIZES
from mnasnet_cli.system.shell import command

CLASSES_SHOWN = 20
ODD_SHOWN = 2  # of a kind
FINDINGS_SHOWN = 12  # at the end of a preparation
TINY_CAPTION = f"under {TINY} px: the shorter side, in an image that is resized to the training size"


def print_health(path: str, health: Mapping[str, Any]) -> None:
    """Print everything that `Health.to_json` returned."""
    _print_images(f"Images in {path}", health)
    _print_boxes(health)
    _print_classes(health)
    _print_duplicates(health)
    _print_oddest(health["oddest"])
    rows = [(_what(Finding(**row)), row["advice"]) for row in health["findings"]]
    if rows:
        console.print_table("Findings", ("what", "what to do"), rows)
    else:
        console.emit_text("Nothing odd was found.\n")


def print_short(out: str, health: Mapping[str, Any], findings: Iterable[Finding]) -> None:
    """Print what the other tables of a preparation do not say, and the findings on standard error."""
    columns, rows = ["split", "images of a class", "copies", "gray"], []
    sizes = _tiny_sizes(health)
    for split, one in health["splits"].items():
        rows.append([split, _range(one["images_per_class"]), health["duplicates"]["repeated"][split], _gray(one)])
        rows[-1] += [_share(one["boxes"]["under_8_px"][size]) for size in sizes]
    columns += [f"boxes under {TINY} px at {size} px" for size in sizes]
    console.print_table(f"Health of {out}", columns, rows, caption=TINY_CAPTION if sizes else None)
    print_findings(out, list(findings))
    console.say(f"`{command('inspect', out, '--html', 'health.html')}` shows classes, sizes and the oddest images")


def print_findings(out: str, findings: Sequence[Finding]) -> None:
    """Print the first findings as messages, one line each."""
    for finding in findings[:FINDINGS_SHOWN]:
        (console.warn if finding.severity == "suspicious" else console.say)(str(finding))
    if len(findings) > FINDINGS_SHOWN:
        console.say(f"{len(findings) - FINDINGS_SHOWN:,} more findings are in {out}/dataset.json")


def _print_images(title: str, health: Mapping[str, Any]) -> None:
    found = health["splits"].values()
    facts = [
        ("images", *(one["images"] for one in found)),
        ("classes", *(one["classes"] for one in found)),
        ("images of a class", *(_range(one["images_per_class"]) for one in found)),
        ("width, px", *(_spread(one["width"]) for one in found)),
        ("height, px", *(_spread(one["height"]) for one in found)),
        ("longer/shorter side", *(_spread(one["aspect_ratio"]) for one in found)),
        ("bytes per pixel", *(_spread(one["bytes_per_pixel"]) for one in found)),
        ("gray", *map(_gray, found)),
    ]
    console.print_transposed(title, list(health["splits"]), facts, caption="sizes: smallest – median – largest")


def _print_boxes(health: Mapping[str, Any]) -> None:
    splits = {split: one["boxes"] for split, one in health["splits"].items() if one.get("boxes")}
    if not splits:
        return
    found = splits.values()
    facts = [
        ("boxes", *(boxes["boxes"] for boxes in found)),
        *((f"{size}, {meaning}", *(boxes[size] for boxes in found)) for size, meaning in COCO_SIZES.items()),
        *((f"under {TINY} px at {size} px", *(_tiny(boxes["under_8_px"][size]) for boxes in found))
          for size in _tiny_sizes(health)),
        ("crowds", *(boxes["crowds"] for boxes in found)),
        ("boxes in an image", *(_spread(boxes["boxes_per_image"]) for boxes in found)),
        ("images without boxes", *(boxes["images_without_boxes"] for boxes in found)),
    ]  # fmt: skip
    console.print_transposed("Boxes", list(splits), facts, caption=TINY_CAPTION)


def _print_classes(health: Mapping[str, Any]) -> None:
    classes, splits = health["classes"], list(health["splits"])
    if not classes:
        return
    ranked = sorted(classes, key=lambda one: sum(counts["images"] for counts in one["splits"].values()))
    half = CLASSES_SHOWN // 2
    shown = classes if len(classes) <= CLASSES_SHOWN else ranked[:half] + ranked[-half:]
    hidden = len(classes) - len(shown)
    has_boxes = any("boxes" in counts for one in classes[:1] for counts in one["splits"].values())
    parts = ("images", "boxes") if has_boxes else ("images",)
    heads, names = console.class_columns([(one["class"], one["name"]) for one in shown])
    rows = [
        (*name, *(one["splits"][split][part] for split in splits for part in parts))
        for name, one in zip(names, shown, strict=True)
    ]  # fmt: skip
    columns = (*heads, *(f"{split} {part}" for split in splits for part in parts))
    caption = f"the {half} smallest and the {half} largest; {hidden:,} more: --json or --html FILE" if hidden else None
    console.print_table("Classes", columns, rows, caption=caption)


def _print_duplicates(health: Mapping[str, Any]) -> None:
    found = health["duplicates"]
    if not found["groups"]:
        return
    rows = [(f"copies within {split}", count) for split, count in found["repeated"].items()]
    rows += [(f"images in {splits}", count) for splits, count in found["across_splits"].items()]
    if found["across_classes"]:
        rows.append(("pictures in several classes", found["across_classes"]))
    console.print_table("Images with the same content", ("", "images"), rows)


def _print_oddest(oddest: Sequence[Mapping[str, Any]]) -> None:
    counts: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    with_class = any(odd["class"] for odd in oddest)  # images with boxes have none
    for odd in oddest:
        counts[odd["kind"]] = counts.get(odd["kind"], 0) + 1
        if counts[odd["kind"]] <= ODD_SHOWN:
            place = f"{odd['shard']}, record {odd['record']}"
            size = f"{odd['width']:,}×{odd['height']:,} px"
            value = size if odd["kind"] in ("smallest", "largest") else odd["value"]
            rows.append((odd["kind"], value, odd["file"], *([odd["class"] or ""] if with_class else []), place))
    if rows:
        columns = ("oddest", "value", "file", *(["class"] if with_class else []), "place")
        console.print_table("Oddest images", columns, rows, caption="--html FILE shows more of them, as pictures")


def _what(finding: Finding) -> str:
    where = f"{finding.split}: " if finding.split else ""
    example = f", for example {finding.example}" if finding.example else ""
    return f"{where}{finding.count:,} {finding.message}{example}"


def _tiny_sizes(health: Mapping[str, Any]) -> list[str]:
    found = [one["boxes"]["under_8_px"] for one in health["splits"].values() if "boxes" in one]
    return list(found[0]) if found else []


def _tiny(counts: Mapping[str, Any]) -> str:
    return f"{counts['boxes']:,} ({_share(counts)})"


def _share(counts: Mapping[str, Any]) -> str:
    return console.percent(counts["share"])


def _gray(split: Mapping[str, Any]) -> str:
    gray = sum(count for channels, count in split["channels"].items() if channels in ("1", "2"))
    return console.percent(gray / split["images"] if split["images"] else None)


def _range(values: Mapping[str, int]) -> str:
    low, high = values["min"], values["max"]
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _spread(values: Mapping[str, float]) -> str:
    if not values:
        return "n/a"
    low, middle, high = (f"{values[name]:.3g}" if isinstance(values[name], float) else f"{values[name]:,}"
                         for name in ("min", "median", "max"))  # fmt: skip
    return low if low == high else f"{low} – {middle} – {high}"
