"""Latency on an Android phone: a folder for `adb` and TensorFlow's `benchmark_model`, and the parser of its output."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import time
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, Required

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from mnasnet_cli.console import say
from mnasnet_cli.errors import DataError
from mnasnet_cli.system.documents import Missing, read_bytes, read_json
from mnasnet_cli.system.files import has_visible_files, make_folder, move_into_place, write_atomically
from mnasnet_cli.system.shell import command

MAX_LOG_BYTES = 1 << 26
"""Of one log: benchmark_model prints a few kB a run."""
MAX_LINE, MAX_MESSAGE = 2000, 300
"""Letters of a line that are read, and that are shown; the tool's lines have a few hundred."""
_FLOAT = r"[0-9]{1,18}(?:\.[0-9]{1,18})?(?:e[+-]?[0-9]{1,2})?"
MODELS, RESULTS = "models", "results"
MODELS_FILE, SCRIPT_FILE, DEVICE_FILE = "models.json", "run.sh", "device.txt"


def write_android_folder(
    folder: Path, models: Sequence[tuple[Path, Mapping[str, Any]]], *, threads: int, runs: int, rounds: int
) -> list[Path]:
    """Writes the TFLite files, their metadata and the script that measures them; returns the copies.

    Args:
      folder: is created. Files of an earlier call are replaced, but its results are moved aside.
      models: each file with its metadata, which includes "name".
      runs: counted calls of each model over all rounds.

    Raises:
      DataError: the folder holds other files.
    """
    if has_visible_files(folder) and not (folder / MODELS_FILE).is_file():
        raise DataError(f"{folder} holds other files; choose another folder with --android")
    known: dict[str, Any] = {}
    for source, metadata in models:
        name = shell_safe_name(str(metadata["name"]), taken=known)
        known[name] = {**metadata, "file_mb": source.stat().st_size / 1e6}
    copies = [folder / MODELS / f"{name}.tflite" for name in known]
    _move_results_aside(folder)
    make_folder(folder)
    # First: a folder without it is taken for one of the user, also after this process was killed.
    write_atomically(folder / MODELS_FILE, json.dumps({"threads": threads, "models": known}, indent=2) + "\n")
    shutil.rmtree(folder / MODELS, ignore_errors=True)
    make_folder(folder / MODELS)
    for (source, _), copy in zip(models, copies, strict=True):
        write_atomically(copy, source.read_bytes())
    script = SCRIPT.replace("@THREADS@", str(threads)).replace("@ROUNDS@", str(rounds))
    write_atomically(folder / SCRIPT_FILE, script.replace("@RUNS@", str(-(-runs // rounds))))
    (folder / SCRIPT_FILE).chmod(0o755)
    return copies


def _move_results_aside(folder: Path) -> None:
    """Keeps earlier results together with the metadata of their models, apart from the new models."""
    if not _result_files(folder):
        shutil.rmtree(folder / RESULTS, ignore_errors=True)
        return
    aside = folder / f"results-{time.strftime('%Y%m%d-%H%M%S')}"
    make_folder(aside)
    write_atomically(aside / MODELS_FILE, (folder / MODELS_FILE).read_bytes())
    move_into_place(folder / RESULTS, aside / RESULTS)
    say(f"earlier results moved to {aside}; `{command('benchmark', '--android-results', aside)}` shows them")


def device_name(device: Mapping[str, str]) -> str:
    """The manufacturer and the model of a phone, from its properties in `read_android_results`."""
    names = [device.get(f"ro.product.{key}", "") for key in ("manufacturer", "model")]
    return " ".join(filter(None, names)) or "a phone"


def shell_safe_name(name: str, taken: Container[str]) -> str:
    """A unique file name that a shell accepts without quotes."""
    plain = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("_.-") or "model"
    number, unique = 1, plain
    while unique in taken:
        number += 1
        unique = f"{plain}-{number}"
    return unique


def read_android_results(path: Path) -> dict[str, Any]:
    """Reads the output of `benchmark_model` into rows like those of `latency.measure.Timing.summary`.

    Args:
      path: the folder of `write_android_folder`, its subfolder of results, or one file with the output of any number of
        runs.

    Returns:
      {"device": {property: value}, "rows": […], "failed": […]}. "failed" lists the files without a result as
      {"name", "file", "message"}; a model without any result has no row. p90 and p99 are None, because the tool prints
      only p5, median and p95. Old releases print only the average, which then replaces the median ("estimate":
      "average").

    Raises:
      DataError: there is no result.
    """
    if path.is_file():
        runs = parse_output(_read_log(path))
        if not runs:
            raise DataError(
                f'{path} is not output of benchmark_model; expected a line with "Inference timings in us: … '
                'Inference (avg)"'
            )
        return {"device": {}, "failed": [], "rows": [_row(run.get("graph") or path.stem, [run], {}) for run in runs]}
    root = path.parent if path.name == RESULTS else path
    known = _read_metadata(root / MODELS_FILE)
    models = known.get("models", {})
    found: dict[str, list[dict[str, Any]]] = {}
    failed = []
    for file in _result_files(root):
        runs = parse_output(_read_log(file))
        if runs:
            found.setdefault(file.stem, []).extend(runs)
        else:
            name = models[file.stem]["name"] if file.stem in models else file.stem
            failed.append({"name": name, "file": str(file), "message": _last_line(file)})
    if failed and not found:
        raise DataError(f"no model has a result; {failed[0]['file']} ends with: {failed[0]['message']}")
    if not found:
        raise DataError(f"{root} holds no results; connect a phone and run {root / SCRIPT_FILE}")
    rows = [_row(name, runs, models.get(name, {}), known.get("threads")) for name, runs in found.items()]
    return {"device": _read_device(root / RESULTS / DEVICE_FILE), "rows": rows, "failed": failed}


def _result_files(root: Path) -> list[Path]:
    """The files with the tool's output, one per model and round."""
    return [file for file in sorted((root / RESULTS).glob("**/*.txt")) if file.name != DEVICE_FILE]


def parse_output(text: str) -> list[dict[str, Any]]:
    """Parses the output of `benchmark_model` into its runs, in order; times in µs, memory in MB.

    A run ends with the line "Inference timings in us: …". The last of the lines "count=… first=… curr=…" before it is
    about the counted calls; the earlier ones are about the warm-up.
    """
    runs: list[dict[str, Any]] = []
    run: dict[str, Any] = {}
    for whole in text.splitlines():
        line = whole[:MAX_LINE]
        if "STARTING!" in line:
            run = {}
        elif match := re.search(r"Graph: \[(.*)\]", line):
            run["graph"] = Path(match[1]).stem
        elif "count=" in line and "curr=" in line:
            counted = {key: float(value) for key, value in re.findall(rf"(\w+)=({_FLOAT})", line)}
            # For one call, or for calls of equal length, the tool prints only the time.
            if "avg" not in counted and "curr" in counted:
                counted.setdefault("median", counted["curr"])
            run["counted"] = counted
        elif match := re.search(r"num_threads: \[?([0-9]{1,6})\b|Num threads: \[([0-9]{1,6})\]", line):
            run["threads"] = int(match[1] or match[2])
        elif "timings in us:" in line:
            values = dict(
                re.findall(rf"(Init|First inference|Warmup|Inference|no stats)(?: \(avg\))?: ({_FLOAT})", line)
            )
            average = values.get("Inference") or values.get("no stats")
            if average is not None and float(average) > 0:
                runs.append({**run, "average_us": float(average), "init_us": float(values.get("Init", "nan"))})
                run = {}
        elif runs and (
            match := re.search(
                rf"peak memory footprint \(MB\)[^:]*: *(?:init={_FLOAT} overall=)?({_FLOAT})", line, re.I
            )
        ):
            runs[-1]["peak_memory_mb"] = float(match[1]) or None
        elif runs and (match := re.search(rf"footprint delta .*overall=({_FLOAT})", line)):
            runs[-1]["model_memory_mb"] = float(match[1])
    return runs


def _row(
    name: str, runs: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any], threads: int | None = None
) -> dict[str, Any]:
    medians = [run.get("counted", {}).get("median", run["average_us"]) / 1e3 for run in runs]
    averages = [run["average_us"] / 1e3 for run in runs]
    exact = all("median" in run.get("counted", {}) for run in runs)
    memory = {key: [run[key] for run in runs if run.get(key)] for key in ("peak_memory_mb", "model_memory_mb")}
    return {
        "name": name,
        **metadata,
        "batch_size": 1,
        "threads": next((run["threads"] for run in runs if "threads" in run), threads),
        "p50_ms": statistics.median(medians),
        "p90_ms": None,
        "p99_ms": None,
        "estimate": "median" if exact else "average",
        "round_medians_ms": medians,
        "calls": int(sum(run.get("counted", {}).get("count", 0) for run in runs)),
        "images_per_second": 1e3 / statistics.mean(averages),
        **{key: max(values) if values else None for key, values in memory.items()},
        "file_mb": metadata.get("file_mb"),
    }


@with_config(ConfigDict(extra="allow"))
class _Model(TypedDict, total=False):
    """A measured file: what `benchmark` knows of it."""

    name: Required[str]
    file_mb: float
    format: str | None
    variant: str | None
    width: float | None
    top1: float | None
    image_size: int | None
    params: int | None
    multiply_adds: int | None


class _Models(TypedDict, total=False):
    """models.json: the models by the name of their file."""

    threads: int
    models: dict[str, _Model]


def _read_metadata(path: Path) -> _Models:
    """Return models.json, {} without one. Raises DataError."""
    try:
        return read_json(path, _Models, "write the folder again with `mnasnet benchmark --android`")
    except Missing:
        return {}


def _read_device(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in _read_log(path).splitlines())
    return {key: value.strip() for key, _, value in pairs if key}


def _read_log(path: Path) -> str:
    """Return the text of a log. Raises DataError if it is no log."""
    return read_bytes(path, MAX_LOG_BYTES).decode("utf-8", "replace")


def _last_line(path: Path) -> str:
    lines = _read_log(path).strip().splitlines()
    return lines[-1].strip()[:MAX_MESSAGE] if lines else "(empty)"


SCRIPT = """\
#!/bin/sh
# Measures the TFLite files in models/ on an Android phone, in rounds, with TensorFlow's benchmark_model:
#
#     ./run.sh                 then, on the computer, mnasnet benchmark --android-results THIS_FOLDER
#
# You need adb, a phone with USB debugging enabled, and the tool benchmark_model, which is not included. Download
# android_aarch64_benchmark_model (a "native benchmark binary" of https://developers.google.com/edge/litert/models/measurement)
# as benchmark_model into this folder, or set BENCHMARK_MODEL=PATH.
set -eu
cd "$(dirname "$0")"
adb=${ADB:-adb}
tool=${BENCHMARK_MODEL:-./benchmark_model}
threads=${THREADS:-@THREADS@}
rounds=${ROUNDS:-@ROUNDS@}
runs=${RUNS:-@RUNS@}  # calls per model and round
phone=/data/local/tmp/mnasnet-benchmark

if [ ! -f "$tool" ]; then
    echo "$tool does not exist; the comment at the top of this script says where to get it" >&2
    exit 2
fi
"$adb" wait-for-device
"$adb" shell "rm -rf $phone && mkdir -p $phone" </dev/null
"$adb" push "$tool" "$phone/benchmark_model" >/dev/null
"$adb" shell "chmod 755 $phone/benchmark_model" </dev/null
for model in models/*.tflite; do
    "$adb" push "$model" "$phone/" >/dev/null
done
rm -rf results
mkdir results
for property in ro.product.manufacturer ro.product.model ro.board.platform ro.build.version.release; do
    echo "$property=$("$adb" shell getprop $property </dev/null | tr -d '\\r')"
done >results/device.txt
failed=""
round=1
while [ "$round" -le "$rounds" ]; do
    mkdir "results/round-$round"
    for model in models/*.tflite; do
        name=$(basename "$model" .tflite)
        echo "round $round of $rounds: $name" >&2
        # If one model fails, for example without enough memory, the others still run.
        if ! "$adb" shell "$phone/benchmark_model --graph=$phone/$name.tflite --num_threads=$threads --num_runs=$runs \\
            --warmup_runs=10 --use_xnnpack=true --report_peak_memory_footprint=true" \\
            </dev/null >"results/round-$round/$name.txt" 2>&1; then
            echo "    failed: $(tail -n 1 "results/round-$round/$name.txt")" >&2
            failed="$failed $round/$name"
        fi
    done
    round=$((round + 1))
done
"$adb" shell "rm -rf $phone" </dev/null || true
if [ -n "$failed" ]; then
    echo "failed (round/model):$failed; the output is in results/round-*/*.txt" >&2
    echo "mnasnet benchmark --android-results $(pwd) shows the other results" >&2
    exit 1
fi
echo "done; mnasnet benchmark --android-results $(pwd) shows the results" >&2
"""
