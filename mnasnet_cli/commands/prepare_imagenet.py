"""`mnasnet prepare-imagenet`: image files to record shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnasnet_cli.commands import preparing
from mnasnet_cli.commands.options import JsonFlag


def prepare_imagenet(
    source: Annotated[
        Path, typer.Argument(help="Folder with train/<synset>/* and val/<synset>/*, or with the ILSVRC2012 tars.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the records.")],
    train_shards: Annotated[int, typer.Option(help="Number of training shards.")] = 1024,
    val_shards: Annotated[int, typer.Option(help="Number of validation shards.")] = 128,
    workers: preparing.Workers = 0,
    part: preparing.Part = "1/1",
    resume: preparing.Resume = False,
    max_side: Annotated[
        int | None, typer.Option(metavar="PX", help="Scale images with a longer side down to this.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For a flat val/: a synset, or `file synset`, on each line."),
    ] = None,
    on_bad_image: preparing.OnBadImage = "fail",
    seed: preparing.Seed = 0,
    verify: preparing.Verify = False,
    json_output: JsonFlag = False,
) -> None:
    """Make TFRecord shards, labels.txt and dataset.json from ImageNet or any folder of classes.

    JPEG bytes are copied as they are; other images are re-encoded. Records are shuffled across the shards.
    """
    from data_prep.imagenet import Options
    from data_prep.imagenet import prepare_imagenet as write

    options = Options(
        train_shards=train_shards, val_shards=val_shards, workers=workers, part=preparing.parse_part(part),
        resume=resume, max_side=max_side, labels=labels, on_bad_image=on_bad_image, seed=seed, verify=verify,
    )  # fmt: skip
    preparing.run(lambda report: write(source, out, options, on_progress=report), out, options, json_output)
