"""`mnasnet prepare-imagenet`: image files to record shards."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import JsonFlag
from mnasnet_cli.errors import ConfigError

SHOWN_BAD = 10  # bad files named on the terminal; dataset.json lists them all


def prepare_imagenet(
    source: Annotated[
        Path, typer.Argument(help="Folder with train/<synset>/* and val/<synset>/*, or with the ILSVRC2012 tars.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the records.")],
    train_shards: Annotated[int, typer.Option(help="Number of training shards.")] = 1024,
    val_shards: Annotated[int, typer.Option(help="Number of validation shards.")] = 128,
    workers: Annotated[int, typer.Option(help="Processes; 0 is one for each core.")] = 0,
    part: Annotated[str, typer.Option(metavar="I/N", help="Write one of N shares of the shards.")] = "1/1",
    resume: Annotated[bool, typer.Option("--resume", help="Keep the whole shards that are there.")] = False,
    max_side: Annotated[
        int | None, typer.Option(metavar="PX", help="Scale images with a longer side down to this.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For a flat val/: a synset, or `file synset`, on each line."),
    ] = None,
    on_bad_image: Annotated[
        str, typer.Option(metavar="fail|skip", help="What to do about an image that cannot be read.")
    ] = "fail",
    seed: Annotated[int, typer.Option(help="Decides the order of the records.")] = 0,
    verify: Annotated[
        bool, typer.Option("--verify", help="Decode every image in full; slow, finds damage within the data.")
    ] = False,
    json_output: JsonFlag = False,
) -> None:
    """Make TFRecord shards, labels.txt and dataset.json from ImageNet or any folder of classes.

    JPEG bytes are copied as they are; other images are re-encoded. Records are shuffled across the shards.
    """
    from data_prep.imagenet import Options
    from data_prep.imagenet import prepare_imagenet as write

    options = Options(
        train_shards=train_shards, val_shards=val_shards, workers=workers, part=_parse_part(part), resume=resume,
        max_side=max_side, labels=labels, on_bad_image=on_bad_image, seed=seed, verify=verify,
    )  # fmt: skip
    began = time.monotonic()
    with ExitStack() as stack:
        bar: list[console.ProgressReport] = []

        def on_progress(done: int, total: int) -> None:
            if not bar:  # only now: the bar has a thread, and the workers must have been forked before there is one
                bar.append(stack.enter_context(console.progress("writing records", total)))
            bar[0].update(done)

        result = write(source, out, options, on_progress=on_progress)
    seconds = time.monotonic() - began
    if json_output:
        splits = {
            name: {key: value for key, value in split.items() if not key.startswith("shard_")}  # long lists
            for name, split in result["splits"].items()
        }
        console.emit_json({"out": str(out), "seconds": round(seconds, 3)} | result | {"splits": splits})
    else:
        _print(out, result, options, seconds)


def _parse_part(text: str) -> tuple[int, int]:
    """Turn "2/4" into (2, 4)."""
    first, slash, second = text.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal()):
        raise ConfigError(f"--part is I/N, such as 1/4, not '{text}'")
    return int(first), int(second)


def _print(out: Path, result: dict[str, Any], options: Any, seconds: float) -> None:
    splits = result["splits"]
    rows = [
        (name, split["examples"], split["shards"], sum(count > 0 for count in split["per_class"].values()),
         split["bad"], f"{split['bytes'] / 1e6:,.1f} MB")
        for name, split in splits.items()
    ]  # fmt: skip
    sizes = result["image_sizes"]
    sides = [
        f"{side} {sizes[side]['min']}–{sizes[side]['max']} px (mean {sizes[side]['mean']:g})"
        for side in ("width", "height")
        if side in sizes
    ]
    caption = [*sides, f"{result['reencoded']:,} re-encoded", console.duration(seconds)]
    columns = ("split", "images", "shards", "classes", "bad images", "size")
    console.print_table(f"Records in {out}", columns, rows, caption=" · ".join(caption))
    _say_more(out, result, options)


def _say_more(out: Path, result: dict[str, Any], options: Any) -> None:
    splits = result["splits"]
    for name, asked in (("train", options.train_shards), ("validation", options.val_shards)):
        if name not in splits:
            console.warn(f"the source has no {name} images")
        elif splits[name]["shards"] < asked and not result["missing_parts"]:
            console.say(f"{name}: {splits[name]['shards']} shards instead of {asked}: there are no more images")
    if result["ignored_files"]:
        console.say(f"{result['ignored_files']:,} files that are no images by their name were left out")
    if result["kept_shards"]:
        console.say(f"{result['kept_shards']:,} shards of an earlier run were kept")
    for bad in result["bad_files"][:SHOWN_BAD]:
        console.warn(f"left out {bad['file']}: {bad['reason']}")
    if len(result["bad_files"]) > SHOWN_BAD:
        console.warn(f"… and {len(result['bad_files']) - SHOWN_BAD:,} more; {out}/dataset.json lists them")
    if result["missing_parts"]:
        console.say(f"still to do: --part {', '.join(result['missing_parts'])}; the last writes dataset.json")
