"""`mnasnet inspect`: what a path holds."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import JsonFlag, check_writable
from mnasnet_cli.commands.prepare import print_objects
from mnasnet_cli.config.net_table import looks_like_net, net_label
from mnasnet_cli.console import class_columns, percent
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.records.shards import DATASET_FILE
from mnasnet_cli.screen.run_tables import print_net, print_run, setting_text

CLASSES_SHOWN = 20


class Inspector(NamedTuple):
    """How to inspect one kind of path.

    fits: whether the path is of this kind. describe: returns its contents, as for JSON. show: prints them as tables.
    draw: draws examples, (path, number, file to write) → number; None if there is nothing to draw.
    examine: describes with the key `health`, and writes the health to an HTML file if one is given; None if the path
    holds no images. verify: compares the files with what was written, and returns their number.
    """

    name: str
    fits: Callable[[Path], bool]
    describe: Callable[[Path], dict[str, Any]]
    show: Callable[[dict[str, Any]], None]
    draw: Callable[[Path, int, Path], int] | None = None
    examine: Callable[[Path, Path | None], dict[str, Any]] | None = None
    verify: Callable[[Path], int] = lambda path: 0


def inspect(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="Records, run, checkpoint, exported artifact or table of a net."),
    ],
    images: Annotated[int, typer.Option(metavar="N", min=0, help="Draw N records with their labels or boxes.")] = 0,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="File that --images writes.")] = Path("inspect.png"),
    health: Annotated[
        bool, typer.Option("--health", help="Show what is odd in all images and boxes, and what to do about it.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write the health as a page, with the oddest images. Implies --health."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything, and compare it with the checksums of what was written.")
    ] = False,
    json_output: JsonFlag = False,
) -> None:
    """Show the contents of records, a run, a checkpoint, an exported artifact or the table of a net.

    --images N draws N records with their labels or boxes into a PNG file. --health reads all records, also those of
    other programs: classes, sizes, tiny boxes, duplicates, and what looks wrong. --verify finds damaged files: shards,
    the checkpoints and exports of a run, artifacts.
    """
    health = health or html is not None
    inspector = find_inspector(path)
    if images and inspector.draw is None:
        raise ConfigError(f"--images draws records, but {path} is a {inspector.name}; give a record file or folder")
    if health and inspector.examine is None:
        raise ConfigError(f"--health examines records, but {path} is a {inspector.name}; give a record file or folder")
    check_writable("--html", html)
    check_writable("--out", out if images else None)
    if health or inspector.examine is None:  # what takes longer than a moment
        console.begin(f"reading {path}")
    found = inspector.examine(path, html) if health and inspector.examine else inspector.describe(path)
    if verify:
        found["verified_files"] = inspector.verify(path)
    if images and inspector.draw:
        found |= {"drawn": inspector.draw(path, images, out), "drawing": str(out)}
    if json_output:
        console.emit_json(found)
        return
    if health:
        _show_health(path, found["health"])
    else:
        inspector.show(found)
    if images:
        drawn = found["drawn"]
        console.say(f"{console.plural(drawn, 'example')} {'is' if drawn == 1 else 'are'} drawn in {out}")
    if verify:
        console.say(f"{console.plural(found['verified_files'], 'file')}: all as written")
    if html:
        console.say(f"the health of {path} is written to {html}")


def find_inspector(path: Path) -> Inspector:
    """Return the inspector of a path. Raises DataError if there is none."""
    for inspector in INSPECTORS:
        if inspector.fits(path):
            return inspector
    if not path.exists():
        raise DataError(f"{path} does not exist")
    known = ", ".join(inspector.name for inspector in INSPECTORS[:-1]) + f" or {INSPECTORS[-1].name}"
    raise DataError(f"{path} is not a {known}")


# --- records ------------------------------------------------------------------------------------------------------


def _fits_records(path: Path) -> bool:
    from mnasnet_cli.records import describe as record_description

    if path.is_file():
        return record_description.is_record_file(path)
    return path.is_dir() and record_description.has_records(path)


def _describe_records(path: Path) -> dict[str, Any]:
    from mnasnet_cli.records import describe as record_description

    with _record_progress("reading records") as on_progress:
        return record_description.describe(path, on_progress=on_progress)


@contextmanager
def _record_progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that shows progress from its first call on: no thread is started before that."""
    with ExitStack() as stack:
        bar: list[console.ProgressReport] = []

        def on_progress(done: int, total: int) -> None:
            if not bar:
                bar.append(stack.enter_context(console.progress(description, total, unit="records")))
            bar[0].update(done)

        yield on_progress


def _examine_records(path: Path, html: Path | None) -> dict[str, Any]:
    from mnasnet_cli.health import examination, page
    from mnasnet_cli.records import describe as record_description

    with _record_progress("examining records") as on_progress:
        health = examination.examine_records(path, on_progress=on_progress)
    if html:
        page.write_page(health, str(path), html)
    info = None if (path / DATASET_FILE).is_file() else health.dataset_info(path)
    return record_description.describe(path, info=info) | {"health": health.to_json()}


def _verify_records(path: Path) -> int:
    from mnasnet_cli.records.verification import verify_records

    with _record_progress("verifying shards") as on_progress:
        return verify_records(path, on_progress)


def _show_health(path: Path, found: dict[str, Any]) -> None:
    from mnasnet_cli.health.report import print_health

    print_health(str(path), found)


def _draw_records(path: Path, count: int, out: Path) -> int:
    from mnasnet_cli.records import drawing

    return drawing.draw_examples(path, count, out)


def _show_records(found: dict[str, Any]) -> None:
    splits = found["splits"]
    rows = [
        (name, split["examples"], split["shards"], sum(map(bool, split["per_class"].values())),
         _range(split["shard_examples"]), f"{split['shard_bytes']['total'] / 1e6:,.1f} MB")
        for name, split in splits.items()
    ]  # fmt: skip
    sides = [
        f"{side} {size['min']}–{size['max']} px (mean {size['mean']:g})"
        for side, size in found["image_sizes"].items()
        if side in ("width", "height")
    ]
    bad = [f"{console.plural(len(found['bad_files']), 'bad file')} skipped"] if found["bad_files"] else []
    caption = " · ".join([f"{found['kind']} records", *sides, *bad])
    columns = ("split", "examples", "shards", "classes", "examples per shard", "size")
    console.print_table(str(found["path"]), columns, rows, caption=caption)
    print_objects({name: split["objects"] for name, split in splits.items() if split["objects"]})
    _show_classes(found)
    keys = [
        (key["key"], key["type"], percent(key["share"]), "–".join(map(str, sorted(set(key["values"])))))
        for key in found["keys"]
    ]
    console.print_table("Keys", ("key", "type", "in examples", "values"), keys)
    first = [
        (one["split"], one["filename"], " ".join(map(str, one["labels"])), textwrap.shorten(one["text"], 40),
         f"{one['width']}×{one['height']}", one["bytes"])
        for one in found["first"]
    ]  # fmt: skip
    console.print_table("First records", ("split", "file", "label", "text", "size", "bytes"), first)
    turned = found["turned_images"]
    if turned["turned"]:
        console.warn(
            f"{turned['turned']:,} of {turned['examined']:,} images that were read lie on the side or are mirrored: the"
            " EXIF orientation is not 1, and training ignores it; write the records again with"
            " `mnasnet prepare-…`, which turns images upright (--health counts all of them)"
        )


def _show_classes(found: dict[str, Any]) -> None:
    splits, texts = found["splits"], found["texts"]
    names = list(dict.fromkeys([*texts, *(name for split in splits.values() for name in split["per_class"])]))
    rows = [
        (number, name, texts.get(name, ""), *(split["per_class"].get(name, 0) for split in splits.values()))
        for number, name in enumerate(names[:CLASSES_SHOWN], 1)
    ]
    more = len(names) - CLASSES_SHOWN
    caption = f"and {more:,} more: --json lists them" if more > 0 else None
    wanted = ("category", "name") if found["kind"] == "coco" else ("class", "text")
    heads, classes = class_columns([(row[1], row[2]) for row in rows], wanted)
    cells = [(row[0], *names, *row[3:]) for row, names in zip(rows, classes, strict=True)]
    console.print_table("Classes", ("", *heads, *splits), cells, caption=caption)


def _range(values: dict[str, int]) -> str:
    return f"{values['min']:,}" if values["min"] == values["max"] else f"{values['min']:,}–{values['max']:,}"


# --- runs and checkpoints -----------------------------------------------------------------------------------------


def _fits_run(path: Path) -> bool:
    return (path / "config.yaml").is_file()


def _describe_run(path: Path) -> dict[str, Any]:
    from mnasnet_cli.runs.describe import describe_run

    return describe_run(path)


def _verify_run(path: Path) -> int:
    from mnasnet_cli.checkpoints.files import BEST_FOLDER, CHECKPOINT_FOLDER, list_checkpoints
    from mnasnet_cli.checkpoints.verification import verify_checkpoint
    from mnasnet_cli.inference.manifest import MANIFEST_FILE
    from mnasnet_cli.inference.verification import verify_export

    prefixes = [prefix for name in (CHECKPOINT_FOLDER, BEST_FOLDER) for prefix in list_checkpoints(path / name)]
    exports = [manifest.parent for manifest in sorted((path / "export").glob(f"*/{MANIFEST_FILE}"))]
    return sum(map(verify_checkpoint, prefixes)) + sum(map(verify_export, exports))


def _show_run(found: dict[str, Any]) -> None:
    print_run(found)
    if "model" in found:
        _show_checkpoint(found["model"], variables=False)


def _fits_checkpoint(path: Path) -> bool:
    # `mnasnet import` writes a folder of checkpoints that is not a run.
    return Path(f"{str(path).removesuffix('.index')}.index").is_file() or any(path.glob("checkpoints/*.index"))


def _describe_checkpoint(path: Path) -> dict[str, Any]:
    from mnasnet_cli.checkpoints.describe import describe_checkpoint
    from mnasnet_cli.checkpoints.files import find_checkpoint

    return describe_checkpoint(find_checkpoint(str(path)))


def _verify_checkpoint(path: Path) -> int:
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.checkpoints.verification import verify_checkpoint

    return verify_checkpoint(find_checkpoint(str(path)))


def _show_checkpoint(found: dict[str, Any], *, variables: bool = True) -> None:
    keys = ("step", "task", "variant", "width", "classes", "averaged_weights", "values")
    details = [*(found["detection"] or {}).items(), *found["net"].items(), *found["preprocessing"].items()]
    source = [("source", f"{found['source']['kind']}, {found['source']['file']}")] if found["source"] else []
    taught = [("teacher", found["teacher"]["model"])] if found["teacher"] else []
    shown = found | {"variant": net_label(found)}
    rows = [*((key, shown[key]) for key in keys), *source, *taught, *details]
    console.print_table(
        f"Checkpoint {found['path']}",
        ("", "value"),
        [(key, f"{value:,}" if key == "values" else setting_text(value)) for key, value in rows],
    )
    if variables:
        shapes = [(name, "×".join(map(str, shape))) for name, shape in found["variables"].items()]
        console.print_table("Variables", ("name", "shape"), shapes)


# --- artifacts ----------------------------------------------------------------------------------------------------


def _fits_artifact(path: Path) -> bool:
    from mnasnet_cli.inference.describe import is_artifact

    return is_artifact(path)


def _describe_artifact(path: Path) -> dict[str, Any]:
    from mnasnet_cli.inference.describe import describe_artifact

    return describe_artifact(path)


def _verify_artifact(path: Path) -> int:
    from mnasnet_cli.inference.describe import verify_artifacts

    return verify_artifacts(path)


def _show_artifact(found: dict[str, Any]) -> None:
    if found["what"] == "export":
        cells = [(one["format"], one["bytes"] / 1e6, one["image_size"], one["path"]) for one in found["artifacts"]]
        console.print_table(str(found["path"]), ("format", "MB", "input, px", "path"), cells)
        return
    keys = ("format", "kind", "variant", "width", "classes", "source", "step", "averaged")
    parts = {
        key: f"{value:.4g}" if isinstance(value, float) else value
        for key, value in found["parity"].items()
        if key != "tolerance" and value is not None
    }
    shown = found | {"variant": net_label(found)}
    rows = [*((key, shown[key]) for key in keys), ("MB", f"{found['bytes'] / 1e6:.2f}")]
    rows += [*found["preprocessing"].items(), *((f"parity {key}", value) for key, value in parts.items())]
    rows += [*((f"version of {key}", value) for key, value in found["versions"].items())]
    rows += _mediapipe_rows(found["mediapipe"])
    rows += [("teacher", found["teacher"]["model"])] if found["teacher"] else []
    rows += [("note", note) for note in found["notes"]]
    console.print_table(f"Artifact {found['path']}", ("", "value"), [(key, setting_text(value)) for key, value in rows])
    # A SavedModel has several signatures by name, other formats have one.
    signatures = {"": found["signature"]} if "inputs" in found["signature"] else found["signature"]
    tensors = [
        (f"{name} {side}".strip(), tensor, about["dtype"], str(about["shape"]))
        for name, signature in signatures.items() for side in ("inputs", "outputs")
        for tensor, about in signature[side].items()
    ]  # fmt: skip
    console.print_table("Signature", ("", "name", "type", "shape"), tensors)
    classes = [*zip(found["labels"], found["names"], strict=True)]
    more = len(classes) - CLASSES_SHOWN
    caption = f"and {more:,} more: --json lists them" if more > 0 else None
    heads, names = class_columns(classes[:CLASSES_SHOWN])
    console.print_table("Classes", heads, names, caption=caption)


def _mediapipe_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a TFLite file's metadata mean for MediaPipe Tasks."""
    if not found:
        return []
    if not found["runs"]:
        runs = "does not run this file: export it with --mediapipe"
    elif found["same_normalization"]:
        runs = "runs this file, with this normalization"
    else:
        runs = "runs this file, with one mean and one deviation for all channels"
    return [("metadata", f"{found['task']}, {', '.join(found['files'])}"), ("MediaPipe", runs)]


# --- nets -----------------------------------------------------------------------------------------------------------


def _describe_net(path: Path) -> dict[str, Any]:
    from mnasnet_cli.modules.info import describe_net

    return describe_net(path)


# The first that fits is used.
INSPECTORS: tuple[Inspector, ...] = (
    Inspector("run", _fits_run, _describe_run, _show_run, verify=_verify_run),
    Inspector("exported artifact", _fits_artifact, _describe_artifact, _show_artifact, verify=_verify_artifact),
    Inspector("checkpoint", _fits_checkpoint, _describe_checkpoint, _show_checkpoint, verify=_verify_checkpoint),
    Inspector(
        "record file or folder",
        _fits_records,
        _describe_records,
        _show_records,
        _draw_records,
        _examine_records,
        _verify_records,
    ),
    Inspector("table of a net", looks_like_net, _describe_net, print_net),
)
