"""Compares what two revisions of the toolkit compute and write, bit by bit, and prints a table.

    python tests/compatibility/compare_revisions.py --before cf82eaa --data IMAGENETTE --coco COCO --out /tmp/comparison

The code after is this checkout as it is, or the revision --after. Both sides run the same commands with this Python:
help, models, records, recipes, the first epoch of `quick`, a stopped run to its end, a detector, exports of one
checkpoint in all formats, and everything that reads old files. Exit code 3 where something differs. --data is a folder
with train/<class>/* and val/<class>/*, --coco one in COCO's layout. With --quick, images are few and small.
What the code before made stays in --out, so a second comparison runs the code after only.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from revision_steps import STEPS, Options, Row, Step, link_inputs
from revisions import CommandFailed, Side, code_of, commit_of

BEFORE = "cf82eaa"  # the last commit before the packages were arranged anew
DIFFERS = 3


def main() -> int:
    options = _parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    out = options.out.resolve()
    inputs = Options(options.data.resolve(), options.coco.resolve(), options.quick)
    steps = [step for step in STEPS if not options.step or step.name in options.step]
    rows: list[Row] = []
    with code_of(options.before) as old_code, code_of(options.after) as new_code:
        before = Side("before", old_code, out / "before")
        after = Side("after", new_code, out / "after")
        for side in (before, after):
            link_inputs(side, before.folder, inputs)
        key = f"{commit_of(options.before)} {inputs}"
        for step in steps:
            rows += _compare(step, before, after, inputs, key)
            for row in (row for row in rows if row.step == step.name):
                print(f"{row.step}: {row.compared}: {row.difference or 'same'}", flush=True)
    _show(rows, f"{options.before} and {options.after or 'this checkout'}")
    return DIFFERS if any(row.difference for row in rows) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=BEFORE, metavar="REV", help=f"default: {BEFORE}")
    parser.add_argument("--after", metavar="REV", help="default: this checkout, with what is not committed")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="train/<class>/* and val/<class>/*")
    parser.add_argument("--coco", type=Path, required=True, metavar="DIR", help="images in COCO's layout")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what both sides make")
    parser.add_argument("--quick", action="store_true", help="few and small images")
    parser.add_argument("--step", action="append", choices=[step.name for step in STEPS], help="only this; repeatable")
    return parser.parse_args()


def _compare(step: Step, before: Side, after: Side, inputs: Options, key: str) -> list[Row]:
    began = time.monotonic()
    try:
        done = before.folder / f".{step.name.replace(' ', '-')}.done"
        if not done.is_file() or done.read_text() != key:
            done.unlink(missing_ok=True)
            step.run(before, inputs)
            done.write_text(key)
        step.run(after, inputs)
        rows = [Row(step.name, *found) for found in step.compare(before.folder, after.folder)]
    except CommandFailed as failure:
        rows = [Row(step.name, "all commands end well", str(failure))]
    print(f"{step.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return rows


def _show(rows: Sequence[Row], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("step", "compared", "result", title=title)
    for row in rows:
        table.add_row(row.step, row.compared, row.difference or "same")
    same = sum(not row.difference for row in rows)
    table.caption = f"{same} of {len(rows)} comparisons: same"
    Console(width=None if sys.stdout.isatty() else 180).print(table)


if __name__ == "__main__":
    sys.exit(main())
