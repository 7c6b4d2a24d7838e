"""What the benchmarks share: peers in other interpreters, alternated rounds, the table and the JSON file.

A side is measured in a process of its own: this same script started again as `--worker NAME`, by the interpreter that
has what the side needs. A worker prints one JSON object, `{"images_per_second": …, "versions": "…"}`, as its last
line. So torch can live in another virtual environment, and no side inherits another's threads or memory.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BUSY_LOAD = 0.5  # a load average above this before the first round means that something else is running
TORCH_MISSING = (
    "{name} isn't installed for {python}: run `pip install torch torchvision` in a virtual environment of its own and "
    "give that one's python with --peer-python"
)


def import_torch(*names: str) -> list[Any]:
    """Return torch modules by name, typed as Any; exit with one clear line where one isn't installed.

    Torch is a peer to measure against, never a dependency: so no benchmark imports it at module level.
    """
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as problem:
        raise SystemExit(TORCH_MISSING.format(name=problem.name or problem, python=sys.executable)) from None


def core_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_toolkit() -> None:
    """Make the checkout's packages importable from a script in benchmarks/, and keep TensorFlow quiet."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from mnasnet_cli.system.tensorflow_notices import silence_tensorflow

    silence_tensorflow()


@dataclass
class Side:
    """One thing that is measured, and the images per second of its rounds so far."""

    name: str
    worker: str
    python: str = sys.executable
    optional: bool = False  # a failure is reported, and the others go on
    rates: list[float] = field(default_factory=list)
    versions: str = ""
    failure: str = ""


def parser_with_rounds(description: str, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the flags that all comparisons have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="measurements of each side, in turn")
    parser.add_argument("--seconds", type=float, default=15.0, help="least length of one measurement")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has torch and torchvision")
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def images_per_second(step: Callable[[], object], images: int, warm_up: int, seconds: float) -> float:
    """Call `step`, which works through `images` images, for at least `seconds`, after `warm_up` uncounted calls."""
    for _ in range(warm_up):
        step()
    began = time.perf_counter()
    done = 0
    while time.perf_counter() - began < seconds:
        step()
        done += images
    return done / (time.perf_counter() - began)


def run_worker(
    workers: dict[str, Callable[[argparse.Namespace], dict[str, Any]]], arguments: argparse.Namespace
) -> None:
    """Be a worker: measure, and print the result."""
    print(json.dumps(workers[arguments.worker](arguments)), flush=True)


def alternate(sides: Sequence[Side], rounds: int, flags: Sequence[str]) -> None:
    """Measure every side once in each round, one after the other, so that the machine's moods meet all of them."""
    for peer in {side.python for side in sides if side.python != sys.executable or side.worker != "ours"}:
        _check_torch(peer)
    load = os.getloadavg()[0]
    if load > BUSY_LOAD:
        note = "torch above all slows down many times over when it shares its cores; the numbers won't hold"
        print(
            f"warning: the load average is {load:.1f}, something else is running: {note}", file=sys.stderr, flush=True
        )
    for number in range(1, rounds + 1):
        for side in sides:
            if side.failure:
                continue
            _measure(side, flags)
            result = side.failure or f"{side.rates[-1]:.1f} images/s"
            print(f"round {number} of {rounds}: {side.name}: {result}", file=sys.stderr, flush=True)


def _check_torch(python: str) -> None:
    """Exit with a clear line where an interpreter lacks torch: before minutes are spent on our own side."""
    try:
        probe = subprocess.run([python, "-c", "import torch, torchvision"], capture_output=True, text=True, check=False)
    except OSError as problem:
        raise SystemExit(f"--peer-python {python} can't be run: {problem.strerror}") from None
    if probe.returncode:
        missing = re.search(r"No module named '(\w+)'", probe.stderr)
        name = missing[1] if missing else "a working torch"
        raise SystemExit(TORCH_MISSING.format(name=name, python=python))


def _measure(side: Side, flags: Sequence[str]) -> None:
    """Run a side's worker once and note its result, or its failure where the side is optional."""
    command = [side.python, sys.argv[0], "--worker", side.worker, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        result = json.loads(done.stdout.splitlines()[-1])
        side.rates.append(result["images_per_second"])
        side.versions = result["versions"]
        return
    lines = done.stderr.strip().splitlines()
    side.failure = f"failed: {lines[-1] if lines else f'exit code {done.returncode}'}"
    if not side.optional:
        raise SystemExit(f"{side.name} {side.failure}\n{done.stderr}")


def machine() -> dict[str, Any]:
    """Return the processor's name, the cores of this process and the load average."""
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
    sides: Sequence[Side],
    *,
    wanted: float,
    before: dict[str, Any],
    conditions: dict[str, Any],
    path: Path | None,
    peer: Side | None = None,
) -> None:
    """Print medians and ratios as a table, and write them as JSON.

    The first side is ours. A ratio is the median of the rounds' own ratios, each of which compares neighbours in time.
    The result is the ratio to `peer`, by default the fastest of the others.
    """
    ours, others = sides[0], [side for side in sides[1:] if side.rates]
    ratios = {
        side.name: [mine / theirs for mine, theirs in zip(ours.rates, side.rates, strict=True)] for side in others
    }
    rows: list[list[object]] = []
    for side in sides:
        if not side.rates:
            rows.append([side.name, side.failure, "", ""])
            continue
        beside = f"{statistics.median(ratios[side.name]):.2f}×" if side is not ours else ""
        spread = f"{min(side.rates):.1f}–{max(side.rates):.1f}"
        rows.append([side.name, f"{statistics.median(side.rates):.1f}", spread, beside])
    fastest = max(others, key=lambda side: statistics.median(side.rates))
    peer = peer or fastest
    ratio = statistics.median(ratios[peer.name])
    _print(title, rows, f"{ratio:.2f}× {peer.name} (wanted: at least {wanted:g}×)", before)
    if path:
        result = {
            "title": title,
            "conditions": conditions,
            "machine": before,
            "versions": {side.name: side.versions for side in sides if side.versions},
            "images_per_second": {side.name: side.rates for side in sides if side.rates},
            "medians": {side.name: statistics.median(side.rates) for side in sides if side.rates},
            "failures": {side.name: side.failure for side in sides if side.failure},
            "ratios": ratios,
            "peer": peer.name,
            "fastest_peer": fastest.name,
            "ratio": ratio,
            "wanted": wanted,
        }
        path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def _print(title: str, rows: list[list[object]], result: str, before: dict[str, Any]) -> None:
    from mnasnet_cli.console import print_table

    caption = f"{before['cpu']}, {before['cores']} cores, load average {before['load_average']} before the first round"
    print_table(title, ["side", "images/s, median", "rounds", "ours beside it"], rows, caption=f"{caption}\n{result}")
