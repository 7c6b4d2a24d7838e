"""Prints line and branch coverage by package as a Markdown table: coverage_table.py COVERAGE.json.

Modules under `LIMIT` are listed below the table.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

LIMIT = 85.0
"""Percent of lines."""


def percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 100.0


def main(report: Path) -> None:
    files = json.loads(report.read_text())["files"]
    packages: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, file in files.items():
        for package in (str(Path(name).parent), "all"):
            packages[package].update({key: value for key, value in file["summary"].items() if isinstance(value, int)})
    print("| package | lines | line coverage, % | branches | branch coverage, % |")
    print("|---|---:|---:|---:|---:|")
    for package, total in sorted(packages.items(), key=lambda item: (item[0] == "all", item[0])):
        lines = percent(total["covered_lines"], total["num_statements"])
        branches = percent(total["covered_branches"], total["num_branches"])
        print(f"| {package} | {total['num_statements']} | {lines:.1f} | {total['num_branches']} | {branches:.1f} |")
    low = {
        name: percent(file["summary"]["covered_lines"], file["summary"]["num_statements"])
        for name, file in files.items()
    }
    print(f"\nModules with under {LIMIT:g} % of lines:")
    for name, value in sorted(low.items(), key=lambda item: item[1]):
        if value < LIMIT:
            print(f"- {name}: {value:.1f} %")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
