"""`mnasnet prepare-coco`: images with boxes to record shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnasnet_cli.commands import preparing
from mnasnet_cli.commands.options import JsonFlag


def prepare_coco(
    source: Annotated[
        Path, typer.Argument(help="Folder with train2017, val2017 and annotations, as folders or as COCO's zips.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the records.")],
    train_shards: Annotated[int, typer.Option(help="Number of training shards.")] = 100,
    val_shards: Annotated[int, typer.Option(help="Number of validation shards.")] = 10,
    workers: preparing.Workers = 0,
    part: preparing.Part = "1/1",
    resume: preparing.Resume = False,
    train_images: Annotated[
        Path | None, typer.Option(metavar="DIR|ZIP", help="Training images, where the name is another.")
    ] = None,
    val_images: Annotated[
        Path | None, typer.Option(metavar="DIR|ZIP", help="Validation images, where the name is another.")
    ] = None,
    train_annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of annotations/instances_train2017.json.")
    ] = None,
    val_annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of annotations/instances_val2017.json.")
    ] = None,
    on_bad_image: preparing.OnBadImage = "fail",
    on_bad_annotation: Annotated[
        str, typer.Option(metavar="fail|skip", help="What to do about an annotation that cannot be used.")
    ] = "fail",
    seed: preparing.Seed = 0,
    verify: preparing.Verify = False,
    json_output: JsonFlag = False,
) -> None:
    """Make TFRecord shards, labels.txt and dataset.json from COCO or any data set in its format.

    Class numbers are 1..K in the order of the category ids; dataset.json keeps the map between the two.
    """
    from data_prep.coco import CocoOptions
    from data_prep.coco import prepare_coco as write

    options = CocoOptions(
        train_shards=train_shards, val_shards=val_shards, workers=workers, part=preparing.parse_part(part),
        resume=resume, on_bad_image=on_bad_image, seed=seed, verify=verify,
        train_images=train_images, val_images=val_images,
        train_annotations=train_annotations, val_annotations=val_annotations, on_bad_annotation=on_bad_annotation,
    )  # fmt: skip
    preparing.run(lambda report: write(source, out, options, on_progress=report), out, options, json_output)
