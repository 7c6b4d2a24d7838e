"""`mnasnet report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.eval import print_coco_numbers
from mnasnet_cli.commands.options import JsonFlag, check_writable
from mnasnet_cli.system.files import make_folder


def report(
    detections: Annotated[
        Path, typer.Argument(metavar="DETECTIONS.json", help="Detections in COCO's results format.", show_default=False)
    ],
    annotations: Annotated[
        Path, typer.Argument(metavar="ANNOTATIONS.json", help="Ground truth: instances_*.json.", show_default=False)
    ],
    engine: Annotated[
        str,
        typer.Option(
            metavar="faster|pycocotools", help="Library that computes the metrics; both give the same numbers."
        ),
    ] = "faster",
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for precision-recall curves, AP per class and confusions."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the images; the best and worst are drawn into --plots."),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="File for the tables in Markdown.")] = None,
    json_output: JsonFlag = False,
) -> None:
    """Evaluate a file of detections: the 12 COCO metrics and AP per class, without TensorFlow."""
    from mnasnet_cli.metrics import coco_report as library

    check_writable("--plots", plots, folder=True)
    check_writable("--markdown", markdown)
    if markdown is not None:
        make_folder(markdown.parent)
    summary = library.report_files(
        detections, annotations, engine=engine, plots=plots, images=images, markdown=markdown
    )
    for warning in summary["warnings"]:
        console.warn(warning)
    if json_output:
        console.emit_json(summary)
        return
    title = f"{detections} against {annotations}, {summary['images']:,} images"
    print_coco_numbers(title, summary)
