"""Compare the COCO report with plain pycocotools, on detections made from real annotations with noise.

    python benchmarks/coco_report.py ANNOTATIONS.json… [--images 5000] [--detections 100] [--rounds 3] [--json FILE]

The images of the annotation files are repeated until there are enough. Six of ten detections are an annotated box with
noise, 15 % of them with another class; the others are boxes of other images. Three programs read the same two files in
processes of their own, in turn: `mnasnet report --json`, our function `report_files`, and the example of pycocotools.
The result is the median ratio of the rounds. All programs must print the same 12 metrics. On a busy machine, compare
CPU time instead of elapsed time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, use_toolkit

TARGET = 6.0
PLAIN = """
import contextlib, io, json, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(sys.argv[2])
    evaluation = COCOeval(truth, truth.loadRes(sys.argv[1]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
print(json.dumps(list(evaluation.stats)))
"""
FUNCTION = """
import json, sys
from pathlib import Path
from mnasnet_cli.metrics.coco_map import COCO_METRICS
from mnasnet_cli.metrics.coco_report import report_files
summary = report_files(Path(sys.argv[1]), Path(sys.argv[2]))
print(json.dumps([summary[name] for name in COCO_METRICS]))
"""
COMMAND = "mnasnet report --json"
PROGRAMS = (COMMAND, "report_files", "pycocotools")


def make_files(sources: list[Path], folder: Path, images: int, per_image: int) -> tuple[Path, Path]:
    """Write detections.json and annotations.json; return their paths."""
    rng = np.random.default_rng(0)
    base: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for source in sources:
        content = json.loads(source.read_text())
        rows: dict[int, list[dict[str, Any]]] = {entry["id"]: [] for entry in content["images"]}
        for row in content["annotations"]:
            rows[row["image_id"]].append(row)
        base += [(entry, rows[entry["id"]]) for entry in content["images"]]
    categories = content["categories"]
    pool = [row for _, rows_of_image in base for row in rows_of_image]
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
    found: list[dict[str, Any]] = []
    for number in range(1, images + 1):
        entry, own = base[number % len(base)]
        size = {key: entry[key] for key in ("file_name", "width", "height")}
        truth["images"].append({"id": number, **size})
        for row in own:
            kept = {key: row[key] for key in ("category_id", "bbox", "area", "iscrowd")}
            truth["annotations"].append({"id": len(truth["annotations"]) + 1, "image_id": number, **kept})
        found += _detections(rng, number, own, pool, categories, per_image)
    paths = folder / "detections.json", folder / "annotations.json"
    for path, content in zip(paths, (found, truth), strict=True):
        path.write_text(json.dumps(content))
    return paths


def _detections(
    rng: np.random.Generator, image: int, own: list[Any], pool: list[Any], categories: list[Any], count: int
) -> list[dict[str, Any]]:
    """Return `count` detections of one image: at most six near each annotation, the others anywhere."""
    near = min(count * 6 // 10, 6 * len(own))
    rows = [own[i] for i in rng.integers(len(own), size=near)] if near else []
    rows += [pool[i] for i in rng.integers(len(pool), size=count - near)]
    boxes = np.array([row["bbox"] for row in rows])
    noise = rng.normal(size=boxes.shape) * 0.15
    noise[near:] = 0
    boxes += noise * np.tile(boxes[:, 2:], 2)
    scores = np.where(np.arange(count) < near, 0.8 - 2 * np.abs(noise[:, 0]) + rng.normal(size=count) * 0.2, 0.0)
    scores = np.clip(np.where(np.arange(count) < near, scores, rng.beta(1, 6, count)), 0.01, 0.99)
    other = rng.random(count) < np.where(np.arange(count) < near, 0.15, 0.0)
    return [
        {
            "image_id": image,
            "category_id": categories[rng.integers(len(categories))]["id"] if swap else row["category_id"],
            "bbox": [round(value, 2) for value in [*box[:2], *np.maximum(box[2:], 1)]],
            "score": round(score, 5),
        }
        for row, box, score, swap in zip(rows, boxes.tolist(), scores.tolist(), other.tolist(), strict=True)
    ]


def run(name: str, paths: tuple[Path, Path]) -> tuple[float, float, list[float]]:
    """Run one program on the files; return its elapsed seconds, CPU seconds and 12 metrics."""
    program = [str(Path(sys.executable).with_name("mnasnet")), "report"]
    if name != COMMAND:
        program = [sys.executable, "-c", PLAIN if name == "pycocotools" else FUNCTION]
    command = [*program, *map(str, paths), *(["--json"] if name == COMMAND else [])]
    began, used = time.perf_counter(), _cpu_seconds()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, used = time.perf_counter() - began, _cpu_seconds() - used
    numbers = json.loads(done.stdout)
    if isinstance(numbers, dict):
        from mnasnet_cli.metrics.coco_map import COCO_METRICS

        numbers = [numbers[name] for name in COCO_METRICS]
    return seconds, used, [-1.0 if number is None else number for number in numbers]


def _cpu_seconds() -> float:
    """Return the CPU seconds of all child processes so far."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="detections per image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    use_toolkit()
    before = machine()
    seconds: dict[str, list[float]] = {program: [] for program in PROGRAMS}
    cpu_seconds: dict[str, list[float]] = {program: [] for program in PROGRAMS}
    numbers: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = make_files(arguments.annotations, Path(folder), arguments.images, arguments.detections)
        for number in range(1, arguments.rounds + 1):
            for program in PROGRAMS:
                taken, used, numbers[program] = run(program, paths)
                seconds[program].append(taken)
                cpu_seconds[program].append(used)
                print(
                    f"round {number} of {arguments.rounds}: {program}: {taken:.1f} s, CPU {used:.1f} s",
                    file=sys.stderr,
                    flush=True,
                )
    report(arguments, before, seconds, cpu_seconds, numbers)


def report(
    arguments: argparse.Namespace,
    before: dict[str, Any],
    seconds: dict[str, list[float]],
    cpu_seconds: dict[str, list[float]],
    numbers: dict[str, list[float]],
) -> None:
    """Print medians, ratios and the largest difference of the metrics; write them as JSON."""
    from mnasnet_cli.console import print_table

    ratios, cpu_ratios = (
        {
            program: statistics.median(p / s for p, s in zip(times["pycocotools"], times[program], strict=True))
            for program in PROGRAMS
        }
        for times in (seconds, cpu_seconds)
    )
    reference = numbers["pycocotools"]
    difference = max(abs(a - b) for program in PROGRAMS for a, b in zip(numbers[program], reference, strict=True))
    rows = [
        (
            program,
            f"{statistics.median(seconds[program]):.2f}",
            f"{ratios[program]:.2f}×",
            f"{statistics.median(cpu_seconds[program]):.2f}",
            f"{cpu_ratios[program]:.2f}×",
        )
        for program in PROGRAMS
    ]
    caption = (
        f"{before['cpu']}, {before['cores']} cores, load average {before['load_average']} before the first round\n"
        f"AP {reference[0]:.3f}; largest difference of the 12 metrics {difference:.1e}\n"
        f"{COMMAND}: {ratios[COMMAND]:.2f}× as fast as pycocotools (target: at least {TARGET:g}×)"
    )
    title = f"COCO report of {arguments.images:,} images × {arguments.detections} detections"
    print_table(title, ["program", "elapsed s", "speed", "CPU s", "speed"], rows, caption=caption)
    if arguments.json:
        result = {
            "title": title,
            "machine": before,
            "seconds": seconds,
            "processor_seconds": cpu_seconds,
            "ratios": ratios,
            "processor_ratios": cpu_ratios,
            "largest_difference": difference,
            "AP": numbers["pycocotools"][0],
            "wanted": TARGET,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    if difference > 5e-4:
        raise SystemExit(f"the programs print different metrics: {numbers}")


if __name__ == "__main__":
    main()
