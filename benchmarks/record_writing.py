"""Compare `mnasnet prepare-imagenet` with `cp -r` of the same images; both are measured as whole commands.

    python benchmarks/record_writing.py SOURCE [--scratch DIR] [--rounds 7] [--json FILE]

Both write to the same disk and alternate. The first round is not counted; it loads the source into the page cache. The
result is the median ratio of the rounds.

All files are deleted at the end only, so the benchmark needs 2 × (ROUNDS + 1) times the size of the source. Deletions
between the rounds slow the disk down: `cp -r` then takes 7 to 15 s instead of 0.4 s. Run it on an idle machine; on a
busy one the rounds differ by a factor of ten.
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


def timed(command: list[str]) -> float:
    """Run a command without its output; return its duration in seconds."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(source: Path, scratch: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each command in each round."""
    program = str(Path(sys.executable).with_name("mnasnet"))
    seconds: dict[str, list[float]] = {"prepare-imagenet": [], "cp -r": []}
    for number in range(rounds + 1):
        records, copy = str(scratch / f"records-{number}"), str(scratch / f"copy-{number}")
        commands = {
            "prepare-imagenet": [program, "prepare-imagenet", str(source), records, "--json"],
            "cp -r": ["cp", "-r", str(source), copy],
        }
        for name, command in commands.items():
            elapsed = timed(command)
            if number:
                seconds[name].append(elapsed)
    return seconds


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--scratch", type=Path, help="folder for the output of both; default: the temporary folder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    files = [path for path in arguments.source.rglob("*") if path.is_file()]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        seconds = measure(arguments.source.resolve(), Path(scratch), arguments.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = [copy / ours for ours, copy in zip(seconds["prepare-imagenet"], seconds["cp -r"], strict=True)]
    ratio = statistics.median(ratios)
    print(f"{len(files):,} files, {megabytes:,.1f} MB, {os.cpu_count()} cores, {arguments.rounds} rounds")
    print(f"{'command':<20}{'median s':>10}{'images/s':>10}{'MB/s':>8}")
    for name, median in medians.items():
        print(f"{name:<20}{median:>10.3f}{len(files) / median:>10,.0f}{megabytes / median:>8.1f}")
    print(f"speed relative to cp -r: {ratio:.2f}× (rounds {min(ratios):.2f}–{max(ratios):.2f}; target: at least 0.50)")
    if arguments.json:
        result = {"files": len(files), "megabytes": megabytes, "seconds": seconds, "medians": medians, "ratio": ratio}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
