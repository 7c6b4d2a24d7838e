"""Damages the files of others, and reads them: no bug may show, no reading may hang or take too much memory.

    python tests/fuzz/fuzz_readers.py [--seconds 60] [--seed 0] [--only TARGET] [--out build/fuzz]

Every case is made from the seed, the target and its number, so it can be repeated: `--only TARGET --case NUMBER`.
Prints a table, and ends with 1 where something does not hold; what failed lies in the folder OUT with the damaged file.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutations import mutate
from targets import Target, is_single, targets

from mnasnet_cli.errors import MnasnetError
from mnasnet_cli.records.image_files.header import BadImage

HANG_SECONDS = 10.0  # of processor time: on a busy machine a case may wait for long
BLOCKED_SECONDS = 120.0  # without an end, such as a case that waits for a pipe
MAX_GROWTH = 1 << 30  # bytes of memory of one case
BATCH = 40  # cases of one process: what one leaks or breaks does not reach the others
LONGEST_MESSAGE = 2000  # letters of an error's line


@dataclass
class Tally:
    """What came of the cases of a target."""

    cases: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)


def run_case(target: Target, sound: Path, number: int, seed: int, work: Path) -> str:
    """Run one case in a new folder. Return "read", "refused", or what went wrong."""
    shutil.rmtree(work, ignore_errors=True)
    random_ = random.Random(f"{seed} {target.name} {number}")
    files = sorted(path for path in sound.glob(target.files) if path.is_file())
    chosen = random_.choice(files)
    damaged = mutate(chosen.read_bytes(), random_)
    if is_single(target):
        work.mkdir(parents=True)
        (work / f"{chosen.name}.fuzzed").write_bytes(damaged)
    else:
        shutil.copytree(sound, work)
        (work / chosen.relative_to(sound)).write_bytes(damaged)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with warnings.catch_warnings(action="ignore"):
            target.read(work)
        outcome = "read"
    except (MnasnetError, BadImage) as error:
        outcome = "refused" if len(str(error)) <= LONGEST_MESSAGE else f"a message of {len(str(error)):,} letters"
    except BaseException:
        return traceback.format_exc()
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return outcome if growth <= MAX_GROWTH else f"it took {growth / 1e9:.1f} GB of memory"


def _run_batch(target: Target, sound: Path, first: int, seed: int, work: Path, state: Synchronized[int]) -> None:
    """Run cases in a child. `state` is the number of the running case, for the parent."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    for number in range(first, first + BATCH):
        state.value = number
        # A folder of its own: readers may remember what they read.
        outcome = run_case(target, sound, number, seed, work / str(number))
        shutil.rmtree(work, ignore_errors=True)
        (work.parent / f"outcome-{number}").write_text(outcome)
        if outcome.startswith("it took"):
            break  # the highest memory of a process never falls
    state.value = -1


def fuzz(target: Target, seconds: float, seed: int, out: Path) -> Tally:
    """Run cases of a target for some time."""
    tally, end, next_case = Tally(), time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        sound, work = Path(folder) / "sound", Path(folder) / "work"
        sound.mkdir()
        target.make(sound)
        while time.monotonic() < end:
            state = multiprocessing.Value(ctypes.c_longlong, next_case)
            child = multiprocessing.Process(target=_run_batch, args=(target, sound, next_case, seed, work, state))
            child.start()
            last, began, worked = next_case, time.monotonic(), 0.0
            while child.is_alive():
                child.join(0.05)
                now = _processor_seconds(child)
                if state.value != last:
                    tally.slowest = max(tally.slowest, now - worked)
                    last, began, worked = state.value, time.monotonic(), now
                elif now - worked > HANG_SECONDS or time.monotonic() - began > BLOCKED_SECONDS:
                    child.kill()
                    child.join()
                    waited = f"{now - worked:.0f} s of processor time, {time.monotonic() - began:.0f} s in all"
                    (Path(folder) / f"outcome-{last}").write_text(f"it had not ended after {waited}")
            if child.exitcode not in (0, -9):
                (Path(folder) / f"outcome-{last}").write_text(f"it ended the process with {child.exitcode}")
            for file in sorted(Path(folder).glob("outcome-*"), key=lambda path: int(path.name[8:])):
                number, outcome = int(file.name[8:]), file.read_text()
                file.unlink()
                tally.cases += 1
                tally.refused += outcome == "refused"
                next_case = max(next_case, number + 1)
                if outcome not in ("read", "refused"):
                    tally.failures.append(outcome.strip().splitlines()[-1])
                    _keep(target, sound, number, seed, outcome, out)
    return tally


def _processor_seconds(process: multiprocessing.Process) -> float:
    """Return the processor time that a process has taken, 0 where the system doesn't say (it has no /proc)."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _keep(target: Target, sound: Path, number: int, seed: int, outcome: str, out: Path) -> None:
    """Write a case that failed: what happened, and the damaged file."""
    folder = out / f"{target.name}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    random_ = random.Random(f"{seed} {target.name} {number}")
    chosen = random_.choice(sorted(path for path in sound.glob(target.files) if path.is_file()))
    (folder / chosen.name).write_bytes(mutate(chosen.read_bytes(), random_))
    (folder / "outcome.txt").write_text(f"{chosen.relative_to(sound)}\n{outcome}\n")


def main() -> int:
    """Fuzz all targets, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the name of a target")
    parser.add_argument("--case", type=int, help="run one case of the target in this process")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args()
    chosen = [target for target in targets() if options.only in ("", target.name)]
    if options.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            sound = Path(folder) / "sound"
            sound.mkdir()
            chosen[0].make(sound)
            print(run_case(chosen[0], sound, options.case, options.seed, Path(folder) / "work"))
        return 0
    failed = 0
    print(f"{'target':24} {'cases':>8} {'refused':>8} {'slowest, s':>10} {'failures':>8}", flush=True)
    for target in chosen:
        tally = fuzz(target, options.seconds / len(chosen), options.seed, options.out)
        failed += len(tally.failures)
        row = f"{tally.cases:8,} {tally.refused:8,} {tally.slowest:10.1f} {len(tally.failures):8,}"
        print(f"{target.name:24} {row}", flush=True)
        for failure, count in sorted({one: tally.failures.count(one) for one in tally.failures}.items()):
            print(f"    {count} × {failure[:200]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    sys.exit(main())
