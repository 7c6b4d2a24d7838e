"""`mnasnet prepare-imagenet` and `mnasnet prepare-coco`: image files to record shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.api.preparation import prepare
from mnasnet_cli.commands.options import JsonFlag
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.records.keys import COCO_SIZES
from mnasnet_cli.screen import next_steps
from mnasnet_cli.system.machine import process_age

LARGE_IMAGE = 2_000_000  # bytes; most photographs of fewer than 3 megapixels take less in records
SHOWN_BAD = 10  # bad files and annotations named on the terminal; dataset.json lists them all

NO_VALIDATION = ", so training will measure no score (see --val-fraction)"

TrainShards = Annotated[
    int | None, typer.Option(metavar="N", help="Number of training shards.", show_default="some 100 MB each")
]
ValShards = Annotated[
    int | None, typer.Option(metavar="N", help="Number of validation shards.", show_default="some 50 MB each")
]
TestShards = Annotated[
    int | None, typer.Option(metavar="N", help="Number of test shards.", show_default="some 50 MB each")
]
Workers = Annotated[int, typer.Option(metavar="N", help="Worker processes; 0: one per core.")]
Part = Annotated[str, typer.Option(metavar="I/N", help="Write only part I of N of the shards.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue an interrupted preparation: keep the complete shards.")
]
OnBadImage = Annotated[
    str, typer.Option(metavar="fail|skip", help="Whether an unreadable image ends the preparation or is skipped.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of the record order.")]
ValFraction = Annotated[
    float | None,
    typer.Option(
        metavar="F",
        help="Share of the images for validation, where SOURCE has no validation split; 0: none.",
        show_default="0.1",
    ),
]
Exif = Annotated[
    str, typer.Option(metavar="upright|ignore", help="Turn images upright by their EXIF data, or keep them as stored.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse a source that would have to be mended.")]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Decode every image in full. This is slow, and finds damage within the image data."),
]


def _run(task: TaskName, source: Path, out: Path, json_output: bool, **options: Any) -> None:
    """Write the records and print the summary."""
    age = process_age()
    console.begin(f"looking through {source}")
    result = prepare(source, out, task=task, **options)
    result["seconds"] = round(age + result["seconds"], 3)  # from the start of the command
    if json_output:
        console.emit_json(result)
    else:
        _print(out, result)
        _print_remarks(out, result, options)
        if not result["missing_parts"]:
            next_steps.show(next_steps.after_preparation(task, out))


def _print(out: Path, result: dict[str, Any]) -> None:
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
    changes = [
        f"{result[key]:,} {text}"
        for key, text in (("reencoded", "re-encoded"), ("turned", "turned upright"), ("converted", "converted to sRGB"))
        if result.get(key) or key == "reencoded"
    ]
    caption = [*sides, *changes, console.duration(result["seconds"])]
    columns = ("split", "images", "shards", "classes", "bad images", "size")
    console.print_table(f"Records in {out}", columns, rows, caption=" · ".join(caption))
    print_objects({name: split["objects"] for name, split in splits.items() if split.get("objects")})


def print_objects(splits: dict[str, dict[str, Any]]) -> None:
    """Print the statistics of the boxes of each split, if there are any."""
    if not splits:
        return
    found = splits.values()
    facts = [
        ("boxes", *(one["boxes"] for one in found)),
        *((f"{size}, {meaning}", *(one[size] for one in found)) for size, meaning in COCO_SIZES.items()),
        ("crowds", *(one["crowds"] for one in found)),
        ("clipped at the edge of the image", *(one.get("clipped") for one in found)),
        ("boxes in an image", *("{min}–{max}, mean {mean:.1f}".format(**one["boxes_per_image"]) for one in found)),
        ("images without boxes", *(one["images_without_boxes"] for one in found)),
    ]
    console.print_transposed("Boxes", list(splits), facts)


def _print_remarks(out: Path, result: dict[str, Any], options: Mapping[str, Any]) -> None:
    from mnasnet_cli.health import report

    splits = result["splits"]
    for name, asked in (
        ("train", options["train_shards"]),
        ("validation", options["val_shards"]),
        ("test", options["test_shards"]),
    ):
        # Not `name in splits`: a part may have no shard of a split.
        if f"{name}_shards" not in result["plan"]:
            if name == "test":
                continue
            console.warn(f"the source has no {name} images{NO_VALIDATION if name == 'validation' else ''}")
        elif result["missing_parts"]:
            continue  # a part says little about the whole
        elif asked and splits[name]["shards"] < asked:
            console.say(f"{name}: {splits[name]['shards']} shards instead of {asked}, one for each image")
    if result["ignored_files"]:
        why = "the annotation file does not list" if result["kind"] == "coco" else "do not have the name of an image"
        console.say(f"{result['ignored_files']:,} files that {why} were skipped")
    if (
        result["kind"] == "imagenet"
        and result["reencoded"]
        and result["image_sizes"].get("mean_bytes", 0) > LARGE_IMAGE
    ):
        console.say("turned and converted pictures are stored without loss; --max-side 1024 makes the records small")
    if result["kept_shards"]:
        console.say(f"{result['kept_shards']:,} shards of an earlier run were kept")
    _warn_about(out, [f"{bad['file']}: {bad['reason']}" for bad in result["bad_files"]])
    left_out = result.get("bad_annotations", [])
    for (split, reason), count in Counter((bad["split"], bad["reason"]) for bad in left_out).items():
        console.warn(f"{count:,} {split} annotations skipped: {reason}")
    _warn_about(out, [" of ".join(f"{key} {bad[key]}" for key in ("annotation", "image") if key in bad)
                   + f": {bad['reason']}" for bad in left_out])  # fmt: skip
    if result["missing_parts"]:
        console.say(f"missing: --part {', '.join(result['missing_parts'])}; the last one writes dataset.json")
    findings = list(Findings.parse(result.get("findings", ())))
    if "health" in result:
        report.print_short(str(out), result["health"], findings)
    else:  # a part, or records of an older version
        report.print_findings(str(out), findings)


def _warn_about(out: Path, left_out: list[str]) -> None:
    for one in left_out[:SHOWN_BAD]:
        console.warn(f"skipped {one}")
    if len(left_out) > SHOWN_BAD:
        console.warn(f"… and {len(left_out) - SHOWN_BAD:,} more; {out}/dataset.json lists them")


def prepare_imagenet(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Folder or zip with class folders, or with images and a table of labels, split or not; or ImageNet's"
            " tar files.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the records.")],
    train_shards: TrainShards = None,
    val_shards: ValShards = None,
    test_shards: TestShards = None,
    val_fraction: ValFraction = None,
    workers: Workers = 0,
    part: Part = "1/1",
    resume: Resume = False,
    max_side: Annotated[
        int | None, typer.Option(metavar="PX", help="Longest side of an image, in pixels; larger ones are scaled down.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table with the classes of images that are not in class folders: CSV, JSON, or text with `file class`,"
            " or a class, on each line. Many names are found without this flag.",
        ),
    ] = None,
    label_columns: Annotated[
        str | None,
        typer.Option(
            metavar="FILE,LABEL", help="Columns of the table with the file and the label: names, or numbers from 1."
        ),
    ] = None,
    on_bad_image: OnBadImage = "fail",
    seed: Seed = 0,
    verify: Verify = False,
    exif: Exif = "upright",
    strict: Strict = False,
    json_output: JsonFlag = False,
) -> None:
    """Write TFRecord shards, labels.txt and dataset.json from ImageNet or any images with one class each.

    The command detects the layout of SOURCE and prints it; docs/how-to/your-own-images.md lists the layouts.

    Upright JPEG and PNG files are copied unchanged; other images are stored as PNG. Records are shuffled across
    the shards.
    """
    _run(
        "classification", source, out, json_output, train_shards=train_shards, val_shards=val_shards,
        test_shards=test_shards, workers=workers, part=part, resume=resume, max_side=max_side, labels=labels,
        label_columns=label_columns, val_fraction=val_fraction, on_bad_image=on_bad_image, seed=seed, verify=verify,
        exif=exif, strict=strict,
    )  # fmt: skip


def prepare_coco(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="Folder or zip: COCO with its own names, or the export of a labelling tool."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the records.")],
    train_shards: TrainShards = None,
    val_shards: ValShards = None,
    test_shards: TestShards = None,
    val_fraction: ValFraction = None,
    workers: Workers = 0,
    part: Part = "1/1",
    resume: Resume = False,
    train_images: Annotated[
        Path | None, typer.Option(metavar="DIR|ZIP", help="Folder or zip of the training images, if it is not found.")
    ] = None,
    val_images: Annotated[
        Path | None, typer.Option(metavar="DIR|ZIP", help="Folder or zip of the validation images, if it is not found.")
    ] = None,
    test_images: Annotated[
        Path | None, typer.Option(metavar="DIR|ZIP", help="Folder or zip of the test images, if it is not found.")
    ] = None,
    train_annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="COCO file of the training annotations, if it is not found.")
    ] = None,
    val_annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="COCO file of the validation annotations, if it is not found.")
    ] = None,
    test_annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="COCO file of the test annotations, if it is not found.")
    ] = None,
    on_bad_image: OnBadImage = "fail",
    on_bad_annotation: Annotated[
        str,
        typer.Option(metavar="fail|skip", help="Whether an unusable annotation ends the preparation or is skipped."),
    ] = "fail",
    crowd_as_objects: Annotated[
        bool, typer.Option("--crowd-as-objects", help="Take every crowd (iscrowd) for a single object.")
    ] = False,
    seed: Seed = 0,
    verify: Verify = False,
    exif: Exif = "upright",
    strict: Strict = False,
    json_output: JsonFlag = False,
) -> None:
    """Write TFRecord shards, labels.txt and dataset.json from images with boxes.

    The layout of SOURCE is found out and printed: COCO, YOLO, Pascal VOC, CVAT, Supervisely, VIA, Label Studio or
    CSV; see docs/how-to/your-own-images.md. Classes are numbered 1..K in the order of the category ids; dataset.json
    maps one to the other.
    """
    _run(
        "detection", source, out, json_output, train_shards=train_shards, val_shards=val_shards,
        test_shards=test_shards, workers=workers, part=part, resume=resume, val_fraction=val_fraction,
        on_bad_image=on_bad_image, seed=seed, verify=verify, exif=exif, strict=strict,
        crowd_as_objects=crowd_as_objects, train_images=train_images, val_images=val_images, test_images=test_images,
        train_annotations=train_annotations, val_annotations=val_annotations, test_annotations=test_annotations,
        on_bad_annotation=on_bad_annotation,
    )  # fmt: skip
