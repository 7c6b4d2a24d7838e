"""`mnasnet predict`."""

from __future__ import annotations

import csv
import enum
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import BestFlag, EmaFlag, JsonFlag, OwnImageSizeOption, check_writable
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.screen.starting import load_model

if TYPE_CHECKING:
    from mnasnet_cli.api.model import Model
    from mnasnet_cli.prediction.results import Prediction

CLASS_COLUMNS = ("file", "rank", "class", "name", "probability")
BOX_COLUMNS = ("file", "rank", "class", "name", "score", "xmin", "ymin", "xmax", "ymax")


FeaturesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File for the embeddings, .npy or .csv: the pooled features before the last layer."
    ),
]
ExplainFlag = Annotated[
    bool,
    typer.Option(
        "--explain", help="Draw class activation maps into --out: which parts of an image spoke for its class."
    ),
]


class Format(enum.StrEnum):
    """Output formats."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Run, checkpoint or exported artifact, e.g. model.tflite.")
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            help="Image or video files, folders, patterns, or - for standard input (an image, or a list of paths).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the images with the predictions drawn on them."),
    ] = None,
    features: FeaturesOption = None,
    explain: ExplainFlag = False,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Number of classes to show (classifiers).")] = 5,
    score_threshold: Annotated[
        float, typer.Option(metavar="X", min=0.0, max=1.0, help="Smallest score of the boxes to show (detectors).")
    ] = 0.3,
    output_format: Annotated[
        Format,
        typer.Option(
            "--format",
            metavar="|".join(Format),
            help="Print a table at the end, or one JSON object or CSV lines per image.",
        ),
    ] = Format.TABLE,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Images per step.")] = 8,
    frame_step: Annotated[int, typer.Option(metavar="N", min=1, help="Use every N-th frame of a video.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="CPU threads for a .tflite or .onnx file.", show_default="all cores"),
    ] = None,
    image_size: OwnImageSizeOption = None,
    ema: EmaFlag = True,
    best: BestFlag = False,
    json_output: JsonFlag = False,
) -> None:
    """Classify images, or detect objects in them, with a trained or exported model.

    Inputs that can't be read are skipped with a warning; the exit code is then 2.
    """
    if json_output and output_format is not Format.TABLE:
        raise ConfigError("--json and --format exclude each other; --format jsonl prints one object per image")
    if explain and out is None:
        raise ConfigError("--explain draws; name the folder for the drawings with --out DIR")
    check_writable("--features", features)
    from mnasnet_cli.prediction.images import UnreadableInput

    opened = load_model(model, ema=ema, best=best, image_size=image_size, threads=threads)
    files = _Files(opened, out, features, explain=explain)
    printer = _Printer(output_format, BOX_COLUMNS if opened.task == "detection" else CLASS_COLUMNS, keep=json_output)
    failed = []
    for result in opened.stream(
        images, batch_size=batch_size, top=top, score_threshold=score_threshold, frame_step=frame_step,
        feature_maps=files.need_feature_maps,
    ):  # fmt: skip
        if isinstance(result, UnreadableInput):
            failed.append({"file": result.name, "reason": result.reason})
            console.warn(f"{result.name}: {result.reason}; skipped")
            continue
        if result.damage:
            console.warn(f"{result.file}: {result.damage}; predicted from what can be decoded")
        printer.add(files.add(result))
    if json_output:
        info = {"model": model, "format": opened.format, "kind": opened.kind, "image_size": opened.image_size}
        console.emit_json({**info, "images": printer.rows, "failed": failed})
    elif output_format is Format.TABLE and printer.rows:
        printer.table(model)
    files.finish(printer.count)
    if failed:
        noun = "inputs" if len(failed) > 1 else "input"
        raise DataError(f"{len(failed)} {noun} could not be read ({failed[0]['file']}: {failed[0]['reason']})")


class _Files:
    """The drawings and the features that the options ask for."""

    def __init__(self, model: Model, out: Path | None, features: Path | None, *, explain: bool) -> None:
        from mnasnet_cli.prediction.drawing import Annotator
        from mnasnet_cli.prediction.features import FeatureFile

        self._model, self._explain = model, explain
        self._annotator = Annotator(out) if out is not None else None
        self._features = FeatureFile(features) if features is not None else None

    @property
    def need_feature_maps(self) -> bool:
        return self._explain or self._features is not None

    def add(self, prediction: Prediction) -> dict[str, Any]:
        """Draw a prediction, keep its features, and return its row."""
        row = prediction.to_dict()
        if self._annotator is not None:
            drawing = self._model.explain(prediction).draw() if self._explain else prediction.draw()
            row["drawn"] = str(self._annotator.write(prediction.image, drawing))
        if self._features is not None:
            self._features.add(prediction)
        return row

    def finish(self, count: int) -> None:
        """Write the features, and say where the files of `count` images are."""
        if self._annotator is not None and count:
            console.say(f"wrote {count:,} images to {self._annotator.folder}")
        if self._features is not None and count:
            self._features.write()
            console.say(f"wrote the features of {count:,} images to {self._features.path}")


class _Printer:
    """Prints rows immediately, or collects them for the end."""

    def __init__(self, output_format: Format, columns: tuple[str, ...], *, keep: bool) -> None:
        self._format, self._columns, self._keep = output_format, columns, keep
        self.rows: list[dict[str, Any]] = []
        self.count = 0

    def add(self, row: dict[str, Any]) -> None:
        self.count += 1
        if self._keep or self._format is Format.TABLE:
            self.rows.append(row)
        elif self._format is Format.JSONL:
            console.emit_json(row)
        else:
            lines = [] if self.count > 1 else [self._columns]
            lines += [tuple(line[column] for column in self._columns) for line in _lines(row)]
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(lines)
            console.emit_text(text.getvalue())

    def table(self, model: str) -> None:
        lines = [line for row in self.rows for line in _lines(row)]
        heads, names = console.class_columns([(line["class"], line["name"]) for line in lines])
        numbers = self._columns[4:]
        cells, name = [], iter(names)
        for row in self.rows:
            found = _lines(row)
            for line in found:
                file = line["file"] if line["rank"] == 1 else ""
                cells.append((file, *map(str, next(name)), *(_cell(column, line[column]) for column in numbers)))
            if not found:
                cells.append((row["file"], *["–"] * (len(heads) + len(numbers))))
        console.print_table(model, ("file", *heads, *numbers), cells)


def _lines(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line for each class or box of an image."""
    found = row["boxes"] if "boxes" in row else row["predictions"]
    return [{"file": row["file"], "rank": rank, **item} for rank, item in enumerate(found, 1)]


def _cell(column: str, value: Any) -> object:
    if column == "probability":
        return console.percent(value)
    if column == "score":
        return f"{value:.2f}"
    return f"{value:.0f}" if isinstance(value, float) else str(value)
