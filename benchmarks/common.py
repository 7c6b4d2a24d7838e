"""Shared code of the benchmarks: worker processes, alternating rounds, the table and the JSON file.

Each program is measured in a process of its own: the same script with `--worker NAME`, run by the interpreter that has
the required packages. The last line of its output is one JSON object, `{"images_per_second": …, "versions": "…"}`. So
torch can be installed in another virtual environment, and no program inherits the threads or memory of another.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BUSY_LOAD = 0.5  # a higher load average before the first round means that other programs are running
TORCH_MISSING = (
    "{name} is not installed for {python}; run `pip install torch torchvision` in its own virtual environment, and "
    "pass that interpreter with --peer-python"
)


def import_torch(*names: str) -> list[Any]:
    """Return modules of torch by name, typed as Any; exit with a message if one is not installed.

    No benchmark imports torch at module level, because the toolkit's environment does not have it.
    """
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as problem:
        raise SystemExit(TORCH_MISSING.format(name=problem.name or problem, python=sys.executable)) from None


def core_count() -> int:
    """Return the number of CPU cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_toolkit() -> None:
    """Make the packages of the checkout importable, and silence TensorFlow."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()


@dataclass
class Program:
    """A program that is measured, and its images per second in each round.

    Attributes:
      worker: the value of --worker that measures it.
      python: the interpreter of the worker.
      optional: whether the benchmark continues without it if it fails.
    """

    name: str
    worker: str
    python: str = sys.executable
    optional: bool = False
    rates: list[float] = field(default_factory=list)
    versions: str = ""
    failure: str = ""


def parser_with_rounds(description: str, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the flags of all comparisons."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="alternating rounds")
    parser.add_argument("--seconds", type=float, default=15.0, help="minimum duration of one measurement")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter with torch and torchvision")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def images_per_second(step: Callable[[], object], images: int, warm_up: int, seconds: float) -> float:
    """Call `step`, which processes `images` images, for at least `seconds` s, after `warm_up` uncounted calls."""
    for _ in range(warm_up):
        step()
    began = time.perf_counter()
    done = 0
    while time.perf_counter() - began < seconds:
        step()
        done += images
    return done / (time.perf_counter() - began)


def run_worker(
    workers: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]], arguments: argparse.Namespace
) -> None:
    """Measure one program in this process, and print the result."""
    print(json.dumps(workers[arguments.worker](arguments)), flush=True)


def measure_in_rounds(programs: Sequence[Program], rounds: int, flags: Sequence[str]) -> None:
    """Measure all programs in turn in each round, so that changes in the load of the machine affect all alike."""
    for peer in {one.python for one in programs if one.python != sys.executable or one.worker != "ours"}:
        _check_torch(peer)
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        advice = "the results are not reliable, since torch is many times slower when it shares its cores"
        print(f"warning: the load average is {load:.1f}: {advice}", file=sys.stderr, flush=True)
    for number in range(1, rounds + 1):
        for program in programs:
            if program.failure:
                continue
            _measure(program, flags)
            result = program.failure or f"{program.rates[-1]:.1f} images/s"
            print(f"round {number} of {rounds}: {program.name}: {result}", file=sys.stderr, flush=True)


def _check_torch(python: str) -> None:
    """Exit with a message if an interpreter lacks torch, before the first measurement."""
    try:
        probe = subprocess.run([python, "-c", "import torch, torchvision"], capture_output=True, text=True, check=False)
    except OSError as problem:
        raise SystemExit(f"--peer-python {python} can't be run: {problem.strerror}") from None
    if probe.returncode:
        missing = re.search(r"No module named '(\w+)'", probe.stderr)
        name = missing[1] if missing else "a working torch"
        raise SystemExit(TORCH_MISSING.format(name=name, python=python))


def _measure(program: Program, flags: Sequence[str]) -> None:
    """Run the worker of a program once and record its result. The failure of an optional program is recorded, too."""
    command = [program.python, sys.argv[0], "--worker", program.worker, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        result = json.loads(done.stdout.splitlines()[-1])
        program.rates.append(result["images_per_second"])
        program.versions = result["versions"]
        return
    lines = done.stderr.strip().splitlines()
    program.failure = f"failed: {lines[-1] if lines else f'exit code {done.returncode}'}"
    if not program.optional:
        raise SystemExit(f"{program.name} {program.failure}\n{done.stderr}")


def machine() -> dict[str, Any]:
    """Return the name of the CPU, the cores of this process, the Python version and the load average."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"^model name\s*: (.+)$", info.read_text() if info.exists() else "", re.MULTILINE)
    return {
        "cpu": name[1] if name else platform.processor() or platform.machine(),
        "cores": core_count(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def report(
    title: str,
    programs: Sequence[Program],
    *,
    target: float,
    before: dict[str, Any],
    conditions: dict[str, Any],
    path: Path | None,
    peer: Program | None = None,
) -> None:
    """Print medians and ratios as a table, and write them as JSON.

    A ratio is the median over rounds of our rate divided by the other program's rate in the same round.

    Args:
      programs: ours first.
      target: the ratio to `peer` that we aim at.
      before: the result of `machine` before the first round.
      conditions: the settings of the benchmark, for the JSON file.
      path: the JSON file; None: no file.
      peer: the program to compare with; None: the fastest of the others.
    """
    ours, others = programs[0], [program for program in programs[1:] if program.rates]
    ratios = {
        other.name: [mine / theirs for mine, theirs in zip(ours.rates, other.rates, strict=True)] for other in others
    }
    rows: list[list[object]] = []
    for program in programs:
        if not program.rates:
            rows.append([program.name, program.failure, "", ""])
            continue
        ratio_text = f"{statistics.median(ratios[program.name]):.2f}×" if program is not ours else ""
        spread = f"{min(program.rates):.1f}–{max(program.rates):.1f}"
        rows.append([program.name, f"{statistics.median(program.rates):.1f}", spread, ratio_text])
    fastest = max(others, key=lambda program: statistics.median(program.rates))
    peer = peer or fastest
    ratio = statistics.median(ratios[peer.name])
    _print(title, rows, f"{ratio:.2f}× {peer.name} (target: at least {target:g}×)", before)
    if path:
        result = {
            "title": title,
            "conditions": conditions,
            "machine": before,
            "versions": {one.name: one.versions for one in programs if one.versions},
            "images_per_second": {one.name: one.rates for one in programs if one.rates},
            "medians": {one.name: statistics.median(one.rates) for one in programs if one.rates},
            "failures": {one.name: one.failure for one in programs if one.failure},
            "ratios": ratios,
            "peer": peer.name,
            "fastest_peer": fastest.name,
            "ratio": ratio,
            "wanted": target,
        }
        path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def _print(title: str, rows: list[list[object]], result: str, before: dict[str, Any]) -> None:
    from mnasnet_cli.console import print_table

    caption = f"{before['cpu']}, {before['cores']} cores, load average {before['load_average']} before the first round"
    print_table(title, ["program", "images/s, median", "rounds", "ours / theirs"], rows, caption=f"{caption}\n{result}")
