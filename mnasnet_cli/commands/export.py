"""`mnasnet export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.api.exporting import export as run
from mnasnet_cli.commands.options import BestFlag, DataOption, EmaFlag, JsonFlag, OwnImageSizeOption
from mnasnet_cli.export.artifact import STATE_DICT_FORMATS, Format
from mnasnet_cli.inference.runner import detect_model_format
from mnasnet_cli.screen import next_steps

if TYPE_CHECKING:
    from mnasnet_cli.export.exporter import ExportResult

DEFAULT_FORMATS = (Format.SAVED_MODEL, Format.TFLITE)

MediapipeFlag = Annotated[
    bool,
    typer.Option(
        "--mediapipe", help="TFLite files take pixels and normalize them inside, as MediaPipe Tasks needs it."
    ),
]
LitertjsOption = Annotated[
    str | None,
    typer.Option(
        "--litertjs",
        metavar="DIR|URL",
        help="For web: the folder of `npm install @litertjs/core`, or a URL that the page loads it from.",
        show_default="put the files there yourself",
    ),
]


def export(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Run or checkpoint.", show_default="the newest run")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for one folder per format.", show_default="RUN/export"),
    ] = None,
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            metavar="F",
            help=f"{', '.join(Format)}; repeatable.",
            show_default=" and ".join(DEFAULT_FORMATS),
        ),
    ] = None,
    image_size: OwnImageSizeOption = None,
    data: DataOption = None,
    parity_images: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Images for the parity check.", show_default="64; detectors 16"),
    ] = None,
    calibration_images: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Training images for the calibration of tflite-int8.",
            show_default="300; detectors 100",
        ),
    ] = None,
    mediapipe: MediapipeFlag = False,
    accept_parity: Annotated[
        bool, typer.Option("--accept-parity", help="Keep artifacts over their tolerance; the manifest says so.")
    ] = False,
    litertjs: LitertjsOption = None,
    ema: EmaFlag = True,
    best: BestFlag = False,
    json_output: JsonFlag = False,
) -> None:
    """Export a model to the formats of servers and phones, and compare each artifact with the checkpoint.

    The images of the comparison come from the records of --data; without records they are generated. An artifact that
    differs by more than its format's tolerance is not kept, and the exit code is 3. The formats torchvision and timm
    are state dicts; they are read again and compared bit by bit.
    """
    if model is not None:
        detect_model_format(model)  # it must be there
    console.begin("starting TensorFlow")
    exported = run(
        model,
        formats or DEFAULT_FORMATS,
        out,
        data=data,
        image_size=image_size,
        ema=ema,
        best=best,
        parity_images=parity_images,
        calibration_images=calibration_images,
        mediapipe=mediapipe,
        accept_parity=accept_parity,
        litertjs=litertjs,
    )
    compared = [result for result in exported.results if result.format not in STATE_DICT_FORMATS]
    state_dicts = [result for result in exported.results if result.format in STATE_DICT_FORMATS]
    if json_output:
        artifacts = [result.as_dict() for result in exported.results]
        where = {"model": exported.prefix, "out": str(exported.out), "images": exported.images if compared else None}
        console.emit_json({**where, "artifacts": artifacts})
    else:
        if compared:
            print_results(
                f"Export of {exported.prefix}", compared, f"Compared with the checkpoint on {exported.images}"
            )
        if state_dicts:
            _print_state_dicts(f"State dicts of {exported.prefix}", state_dicts)
        next_steps.show(next_steps.after_export([result.path for result in compared if not result.fault]))
    exported.raise_for_faults()


def print_results(title: str, results: Sequence[ExportResult], comparison: str, note: str = "") -> None:
    """Print how artifacts compare with their checkpoint; `comparison` and `note` go into the caption."""
    columns = ("format", "MB", "largest difference", "agree", "file")
    rows = [
        (
            result.format,
            result.file_bytes / 1e6,
            *_comparison_cells(result),
            f"not exported: {result.fault}" if result.fault else str(result.path),
        )
        for result in results
    ]
    counts = sorted({result.comparison.images for result in results if result.comparison is not None})
    images = f" ({'–'.join(map(str, (counts[0], counts[-1])[: len(counts)]))} each)" if counts else ""
    caption = (
        f"{comparison}{images}: differences of logits or scores, and how often top-1 or boxes agree. {note}".rstrip()
    )
    console.print_table(title, columns, rows, caption=caption)


def _comparison_cells(result: ExportResult) -> tuple[Any, ...]:
    """Return the largest difference and the agreement."""
    comparison = result.comparison
    if comparison is None:
        return None, "n/a"
    agreement = "no boxes" if comparison.agreement is None else console.percent(comparison.agreement)
    return comparison.difference, agreement


def _print_state_dicts(title: str, results: Sequence[ExportResult]) -> None:
    rows = [(result.format, result.file_bytes / 1e6, str(result.path), result.load_code) for result in results]
    caption = "The tensors were read back and are identical."
    console.print_table(title, ("format", "MB", "file", "to load it"), rows, caption=caption)
