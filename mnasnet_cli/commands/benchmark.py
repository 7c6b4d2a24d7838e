"""`mnasnet benchmark`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import BestFlag, EmaFlag, JsonFlag, check_writable, image_size_option, width_option
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.system.files import temporary_folder
from mnasnet_cli.system.shell import command

PACKAGES = ("ai-edge-litert", "tensorflow", "onnxruntime")


class Format(enum.StrEnum):
    """Output formats."""

    TABLE = "table"
    CSV = "csv"


def benchmark(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL|VARIANT",
            help="Runs, checkpoints, exported artifacts, or variants such as b1 and net.yaml (random weights, exported "
            "as TFLite).",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="CPU threads.")] = 1,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Images per inference.")] = 1,
    image_size: Annotated[int | None, image_size_option("the model's own, or that of the variant")] = None,
    width: Annotated[float | None, width_option("1")] = None,
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
    output_format: Annotated[
        Format, typer.Option("--format", metavar="|".join(Format), help="Print a table or CSV lines.")
    ] = Format.TABLE,
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
    _check_arguments(models, every, android, android_results)
    _check_variant_flags(models or [], every, {"--width": width is not None, "--int8": int8})
    check_writable("--out", out, folder=True)
    if android_results is not None:
        report = _read_results(android_results)
    else:
        from mnasnet_cli.latency import variants

        with temporary_folder() as folder:
            sizes = (width, image_size)
            options: dict[str, Any] = {"batch_size": batch_size, "threads": threads, "ema": ema, "best": best}
            options["int8"] = int8
            console.begin("starting TensorFlow and preparing the models")
            if every:
                cases = variants.variant_grid(models or [], *sizes, folder, resize_input=android is None, **options)
            else:
                cases = [variants.benchmark_case(model, *sizes, folder, **options) for model in models or []]
            if android is not None:
                _write_android(android, cases, threads, runs, rounds, json_output)
                return
            report = _measure(cases, runs, rounds)
    _show(report, output_format, json_output)
    if out is not None:
        from mnasnet_cli.latency.report import write_report

        paths = write_report(report, out)
        console.say(f"wrote {', '.join(map(str, paths))}")


def _check_arguments(models: list[str] | None, every: bool, android: Path | None, results: Path | None) -> None:
    if results is not None and (models or every or android is not None):
        raise ConfigError("--android-results shows earlier results; remove the models, --all and --android")
    if results is None and not models and not every:
        raise ConfigError("no model is given; name at least one model or variant, or use --all")


def _check_variant_flags(models: list[str], every: bool, given: dict[str, bool]) -> None:
    """Refuses flags for untrained variants if no variant is named."""
    from mnasnet_cli.latency.variants import is_variant

    if every or any(map(is_variant, models)):
        return
    for flag in (flag for flag, is_given in given.items() if is_given):
        raise ConfigError(f"{flag} is only for variants such as b1, and no variant is named; remove {flag}")


def _measure(cases: list[Any], runs: int, rounds: int) -> dict[str, Any]:
    from mnasnet_cli.latency.measure import measure
    from mnasnet_cli.system.machine import host

    before = host(PACKAGES)  # the load of other programs, without ours
    with console.progress("benchmark", len(cases) * rounds, unit="measurements") as bar:
        timings = measure(cases, runs=runs, rounds=rounds, on_progress=bar.update)
    return {"host": before, "rounds": rounds, "models": [timing.summary() for timing in timings]}


def _read_results(path: Path) -> dict[str, Any]:
    from mnasnet_cli.latency.android import read_android_results

    found = read_android_results(path)
    for fault in found["failed"]:
        console.warn(f"{fault['name']}: no result in {fault['file']}: {fault['message']}")
    return {"host": {"device": found["device"]}, "models": found["rows"], "failed": found["failed"]}


def _write_android(folder: Path, cases: list[Any], threads: int, runs: int, rounds: int, json_output: bool) -> None:
    from mnasnet_cli.inference.manifest import read_manifest
    from mnasnet_cli.latency.android import SCRIPT_FILE, write_android_folder
    from mnasnet_cli.latency.measure import net_metadata

    models = []
    for case in cases:
        file = _tflite_file(case)
        manifest = read_manifest(file)
        if case.image_size not in (None, manifest.image_size):
            raise ConfigError(
                f"{case.name} was exported for images of {manifest.image_size} px; remove --image-size, or export it "
                f"again with `{command('export', manifest.source, '--image-size', case.image_size)}`"
            )
        models.append((file, {"name": case.name, **net_metadata(manifest), **case.metadata}))
    copies = write_android_folder(folder, models, threads=threads, runs=runs, rounds=rounds)
    if json_output:
        console.emit_json({"folder": folder, "script": folder / SCRIPT_FILE, "models": copies})
    console.say(f"{len(copies)} models in {folder}; connect a phone, run {folder / SCRIPT_FILE}, then "
                f"`{command('benchmark', '--android-results', folder)}`")  # fmt: skip


def _tflite_file(case: Any) -> Path:
    """The TFLite file of a model or of the folder of an export; ConfigError for a run or another format."""
    from mnasnet_cli.inference.manifest import read_manifest
    from mnasnet_cli.inference.runner import detect_model_format

    model_format, path = detect_model_format(case.path)
    if model_format == "tflite":
        return path
    # An artifact can't be exported again, but the checkpoint that it came from can.
    source = case.path if model_format == "checkpoint" else read_manifest(path).source
    export = command("export", source, "--format", "tflite")
    raise ConfigError(f"{case.name} is not a TFLite file; write one with `{export}`")


def _show(report: dict[str, Any], output_format: Format, json_output: bool) -> None:
    from mnasnet_cli.latency.report import tables, to_csv

    if json_output:
        console.emit_json(report)
    elif output_format is Format.CSV:
        console.emit_text(to_csv(report["models"]))
    else:
        rows = report["models"]
        notes = dict.fromkeys(f"{row['name']}: {row['note']}" for row in rows if row.get("note"))
        caption = "\n".join([_conditions(report), *notes])
        *shown, last = tables(rows)
        for title, columns, cells in shown:
            console.print_table(title, columns, cells)
        console.print_table(*last, caption=caption)


def _conditions(report: dict[str, Any]) -> str:
    host = report["host"]
    if "device" in host:
        from mnasnet_cli.latency.android import device_name

        release = host["device"].get("ro.build.version.release")
        return f"{device_name(host['device'])}{f', Android {release}' if release else ''}"
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    cpu = host["cpu"]
    return (
        f"{cpu['name']}, {console.plural(cpu['cores'], 'core')}, load average {host['load_average']} before; {versions}"
    )
