"""`mnasnet benchmark`."""

from __future__ import annotations

import enum
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import BestFlag, EmaFlag, ImageSizeOption, JsonFlag, WidthOption, check_writable
from mnasnet_cli.errors import ConfigError

PACKAGES = ("ai-edge-litert", "tensorflow", "onnxruntime")


class Format(enum.StrEnum):
    """How the measurements are printed."""

    TABLE = "table"
    CSV = "csv"


def benchmark(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL|VARIANT…",
            help="Runs, checkpoints, exported artifacts, or variants such as b1 (random weights, exported as TFLite).",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="CPU threads.")] = 1,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Images per inference.")] = 1,
    image_size: ImageSizeOption = None,
    width: WidthOption = None,
    runs: Annotated[int, typer.Option(metavar="N", min=1, help="Timed inferences per model.")] = 100,
    rounds: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Rounds: each model runs its share of the inferences in every round."),
    ] = 5,
    int8: Annotated[
        bool, typer.Option("--int8", help="Measure variants in int8, calibrated on noise, instead of float.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Measure all variants, or the named ones, at every width and input size.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for latency.json, latency.csv and latency.png.")
    ] = None,
    android: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write TFLite files and a script that measures them on a phone, and measure nothing here.",
        ),
    ] = None,
    android_results: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Show the results of that script: its folder, or a file of benchmark_model."),
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", help="Print a table or CSV lines.")] = Format.TABLE,
    ema: EmaFlag = True,
    best: BestFlag = False,
    json_output: JsonFlag = False,
) -> None:
    """Measure the latency, throughput and memory of models.

    Models take turns, so that a busy machine slows all of them alike. Each runs in its own process. The time does not
    include preprocessing, nor the decoding and suppression of boxes of int8 detectors.
    """
    if json_output and output_format is not Format.TABLE:
        raise ConfigError("--json and --format exclude each other")
    _check(models, every, android, android_results)
    _check_bare(models or [], every, {"--width": width is not None, "--int8": int8})
    check_writable("--out", out, folder=True)
    if android_results is not None:
        report = _read_results(android_results)
    else:
        from mnasnet_cli.latency import variants

        with tempfile.TemporaryDirectory(prefix="mnasnet-") as scratch:
            options: dict[str, Any] = {"batch_size": batch_size, "threads": threads, "ema": ema, "best": best}
            options["int8"] = int8
            subjects = (
                variants.grid(models or [], width, image_size, Path(scratch), resizable=android is None, **options)
                if every
                else [variants.subject(model, width, image_size, Path(scratch), **options) for model in models or []]
            )
            if android is not None:
                _write_android(android, subjects, threads, runs, rounds, json_output)
                return
            report = _measure(subjects, runs, rounds)
    _show(report, output_format, json_output)
    if out is not None:
        from mnasnet_cli.latency.report import write_report

        paths = write_report(report, out)
        console.say(f"written: {', '.join(map(str, paths))}")


def _check(models: list[str] | None, every: bool, android: Path | None, results: Path | None) -> None:
    if results is not None and (models or every or android is not None):
        raise ConfigError("--android-results reads what was measured before; it goes without models and --android")
    if results is None and not models and not every:
        raise ConfigError("name at least one model or variant, or --all; see mnasnet benchmark --help")


def _check_bare(models: list[str], every: bool, given: dict[str, bool]) -> None:
    """Refuses flags that are for bare variants where there is none."""
    from mnasnet_cli.latency.variants import is_variant

    if every or any(map(is_variant, models)):
        return
    why = ", since a model has its own" if models else ""
    for flag in (flag for flag, is_given in given.items() if is_given):
        raise ConfigError(f"{flag} is for bare variants such as b1, and none is named; leave it away{why}")


def _measure(subjects: list[Any], runs: int, rounds: int) -> dict[str, Any]:
    from mnasnet_cli.latency.measure import measure
    from mnasnet_cli.system.machine import host

    before = host(PACKAGES)  # the load that others make, not ours
    with console.progress("benchmark", len(subjects) * rounds, unit="measurements") as bar:
        timings = measure(subjects, runs=runs, rounds=rounds, on_round=bar.update)
    return {"host": before, "rounds": rounds, "models": [timing.summary() for timing in timings]}


def _read_results(path: Path) -> dict[str, Any]:
    from mnasnet_cli.latency.android import read_android_results

    found = read_android_results(path)
    for fault in found["failed"]:
        console.warn(f"{fault['name']}: no result in {fault['file']}: {fault['message']}")
    return {"host": {"device": found["device"]}, "models": found["rows"], "failed": found["failed"]}


def _write_android(folder: Path, subjects: list[Any], threads: int, runs: int, rounds: int, json_output: bool) -> None:
    from mnasnet_cli.inference.manifest import read_manifest
    from mnasnet_cli.latency.android import SCRIPT_FILE, write_android_folder
    from mnasnet_cli.latency.measure import net_facts

    models = []
    for subject in subjects:
        file = _tflite_file(subject)
        manifest = read_manifest(file)
        if subject.image_size not in (None, manifest.image_size):
            raise ConfigError(
                f"{subject.name} was exported for images of {manifest.image_size} px; leave --image-size away, or "
                f"export it again, with `mnasnet export {manifest.source} --image-size {subject.image_size}`"
            )
        models.append((file, {"name": subject.name, **net_facts(manifest), **subject.facts}))
    copies = write_android_folder(folder, models, threads=threads, runs=runs, rounds=rounds)
    if json_output:
        console.emit_json({"folder": folder, "script": folder / SCRIPT_FILE, "models": copies})
    console.say(f"{len(copies)} models in {folder}; connect a phone, run {folder / SCRIPT_FILE}, then "
                f"`mnasnet benchmark --android-results {folder}`")  # fmt: skip


def _tflite_file(subject: Any) -> Path:
    """The file of a model, in the folder of an export, too; ConfigError for a run or another format."""
    from mnasnet_cli.inference.manifest import read_manifest
    from mnasnet_cli.inference.runner import recognise

    form, place = recognise(subject.path)
    if form == "tflite":
        return place
    source = subject.path if form == "checkpoint" else read_manifest(place).source  # an artifact isn't exported again
    raise ConfigError(f"{subject.name} is no TFLite file; make one with `mnasnet export {source} --format tflite`")


def _show(report: dict[str, Any], output_format: Format, json_output: bool) -> None:
    from mnasnet_cli.latency.report import as_csv, table

    if json_output:
        console.emit_json(report)
    elif output_format is Format.CSV:
        console.emit_text(as_csv(report["models"]))
    else:
        rows = report["models"]
        columns, cells = table(rows)
        notes = dict.fromkeys(f"{row['name']}: {row['note']}" for row in rows if row.get("note"))
        caption = "\n".join([_conditions(report), *notes])
        batch, threads = rows[0]["batch_size"], rows[0]["threads"]
        title = f"Latency of {batch} image{'s' * (batch > 1)}, {threads or '?'} thread{'s' * (threads != 1)}"
        console.print_table(title, columns, cells, caption=caption)


def _conditions(report: dict[str, Any]) -> str:
    host = report["host"]
    if "device" in host:
        device = host["device"]
        names = [device.get(f"ro.product.{key}", "") for key in ("manufacturer", "model")]
        release = device.get("ro.build.version.release")
        return f"{' '.join(filter(None, names)) or 'a phone'}{f', Android {release}' if release else ''}"
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    cpu = host["cpu"]
    return f"{cpu['name']}, {cpu['cores']} cores, load average {host['load_average']} before; {versions}"
