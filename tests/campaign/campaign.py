"""The fault campaign: `make campaign`, `make campaign-quick`, `make campaign FAULT=NAME`.

It tries many faults on the program, checks after each that nothing is lost, nothing is half-written, the next command
works, and that an error is one clear line; and prints a table by kind. What failed stands in `build/campaign/failed/`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import queue
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(HERE)]

import kinds_chains  # noqa: E402
import kinds_damage  # noqa: E402
import kinds_hostile  # noqa: E402
import kinds_interrupts  # noqa: E402
import kinds_limits  # noqa: E402
import kinds_workers  # noqa: E402
from commands import COMMANDS, tried  # noqa: E402
from fault import Fault, Result  # noqa: E402


class WorkerDied(Exception):
    """A process that tries faults has ended."""


class Worker:
    """The parent's side of a process that tries faults."""

    def __init__(self, work: Path, warm: bool) -> None:
        words = [sys.executable, str(HERE / "worker.py"), str(work), "warm" if warm else "cold"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise WorkerDied(f"the worker of the campaign ended with {self.process.wait()}")
        return line

    def ask(self, request: dict[str, Any]) -> str:
        """Send a request and return the reply."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def ask_all(
    work: Path, warm: bool, requests: Iterable[dict[str, Any]], jobs: int, on_reply: Any, deadline: float
) -> None:
    """Send requests to `jobs` processes, until all are answered or the time is over."""
    left: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    for request in requests:
        left.put(request)
    lock = threading.Lock()
    without_reply: list[str] = []

    def serve() -> None:
        worker = None
        while time.monotonic() < deadline:
            try:
                request = left.get_nowait()
            except queue.Empty:
                break
            try:
                worker = worker or Worker(work, warm)
                reply = json.loads(worker.ask(request))
            except (WorkerDied, BrokenPipeError) as died:
                worker = None
                if "kind" not in request:
                    without_reply.append(f"{request}: {died}")
                    break
                reply = asdict(Result(Fault(**request).name, request["kind"], [str(died)])) | {"how": request["how"]}
            with lock:
                on_reply(request, reply)
        if worker:
            worker.close()

    threads = [threading.Thread(target=serve) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if without_reply:  # there is no campaign without inputs
        raise SystemExit("\n".join(without_reply))


def sources_digest() -> str:
    """Return a digest of the program: what an undisturbed run writes may change with it."""
    total = hashlib.sha256()
    for path in sorted(path for package in ("mnasnet_cli", "data_prep") for path in (ROOT / package).rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def prepare(work: Path, jobs: int, quick: bool, repeated: bool) -> dict[str, dict[str, Any]]:
    """Make the template folder and the undisturbed outcomes, or use those of an earlier campaign."""
    template = work / "template"
    built, digest = template / "built", sources_digest()
    if built.exists() and built.read_text() != digest:
        if repeated and (template / "reference.json").exists():
            print("the inputs and the undisturbed runs are those of an earlier state of the program", flush=True)
        else:
            shutil.rmtree(template)
    if (template / "reference.json").exists():
        return json.loads((template / "reference.json").read_text())  # type: ignore[no-any-return]
    forever = time.monotonic() + 1e6
    found: dict[str, dict[str, Any]] = {}
    chains: dict[str, dict[str, Any]] = {}
    pairs: dict[str, dict[str, Any]] = {}
    if not built.exists():
        shutil.rmtree(work, ignore_errors=True)
        template.mkdir(parents=True)
        ask_all(work, True, [{"build": "quick" if quick else "all"}], 1, lambda request, reply: None, forever)
        built.write_text(digest)

    def keep(request: dict[str, Any], reply: dict[str, Any]) -> None:
        kept = found if "measure" in request else pairs if "pair" in request else chains
        kept[next(iter(request.values()))] = reply

    trainings = kinds_chains.TRAININGS[: 1 if quick else 2]
    for warm in (False, True):
        requests = [{"measure": name} for name in tried(quick) if COMMANDS[name].warm == warm]
        requests += [{"chain": name} for name in trainings] if warm else []
        requests += [{"pair": kinds_workers.COMMAND}] if warm and not quick else []
        ask_all(work, warm, requests, jobs, keep, forever)
    for name, chain in chains.items():
        found[name]["chain"] = chain
    for name, pair in pairs.items():
        found[name]["pair"] = pair
    for name, one in found.items():
        if "skipped" in one:
            print(f"not tried: {name}: {one['skipped']}", flush=True)
    (template / "reference.json").write_text(json.dumps({name: found[name] for name in tried(quick)}))
    return found


def all_faults(work: Path, reference: dict[str, dict[str, Any]], quick: bool, seed: int) -> list[Fault]:
    """Return the faults of a campaign; the same for the same seed."""
    rng = random.Random(seed)
    faults = [*kinds_interrupts.make(reference, quick, rng), *kinds_limits.make(reference, quick, rng)]
    faults += kinds_damage.make(work / "template", quick, rng)
    faults += kinds_hostile.make(reference, quick, rng)
    faults += kinds_workers.make(reference, quick, rng)
    return faults + list(kinds_chains.make(reference, quick, rng))


def write_failure(work: Path, request: dict[str, Any], reply: dict[str, Any]) -> None:
    """Keep a failed fault with its folder."""
    folder = work / "failed"
    folder.mkdir(exist_ok=True)
    name = reply["fault"].replace("/", "_").replace(" ", "-")
    (folder / f"{name}.json").write_text(json.dumps({"fault": request, **reply}, indent=1))
    place = work / "places" / name
    if place.exists():
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.move(place, folder / name)


def print_table(rows: dict[str, Counter[str]]) -> None:
    """Print the table by kind, as Markdown."""
    print("\n| kind | faults | survived | failed | not tried |\n|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for kind, row in rows.items():
        total.update(row)
        print(f"| {kind} | {row['faults']} | {row['survived']} | {row['failed']} | {row['not tried']} |")
    print(f"| all | {total['faults']} | {total['survived']} | {total['failed']} | {total['not tried']} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of half an hour")
    parser.add_argument("--fault", default="", help="only the fault of this name, or the faults whose names begin so")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e4, help="end after this time; the rest is not tried")
    parser.add_argument("--without-tensorflow", action="store_true", help="only commands that don't need it")
    parser.add_argument("--work", type=Path, default=ROOT / "build/campaign")
    options = parser.parse_args()
    began = time.monotonic()
    work = options.work.absolute()
    reference = prepare(work, options.jobs, options.quick, bool(options.fault))
    print(f"inputs and undisturbed runs: {time.monotonic() - began:.0f} s", flush=True)
    shutil.rmtree(work / "failed", ignore_errors=True)
    shutil.rmtree(work / "places", ignore_errors=True)
    (work / "places").mkdir()
    faults = [f for f in all_faults(work, reference, options.quick, options.seed) if f.name.startswith(options.fault)]
    rows: dict[str, Counter[str]] = {fault.kind: Counter() for fault in faults}
    kills = 0
    deadline = began + options.minutes * 60

    def keep(request: dict[str, Any], reply: dict[str, Any]) -> None:
        nonlocal kills
        state = "not tried" if reply["skipped"] else "failed" if reply["problems"] else "survived"
        rows[reply["kind"]].update(["faults", state])
        kills += reply["how"].get("survived", 0)
        if reply["problems"]:
            print(f"failed: {reply['fault']}: {' | '.join(reply['problems'])[:600]}", flush=True)
            write_failure(work, request, reply)
        done = sum(row["faults"] for row in rows.values())
        if done % 100 == 0:
            print(f"{done:,} of {len(faults):,} faults, {(time.monotonic() - began) / 60:.0f} min", flush=True)
        if reply["skipped"] and rows[reply["kind"]]["not tried"] == 1:
            print(f"not tried: {reply['fault']}: {reply['skipped']}", flush=True)

    for warm in (False,) if options.without_tensorflow else (False, True):
        chosen = [asdict(fault) for fault in faults if fault.warm == warm]
        random.Random(options.seed).shuffle(chosen)  # a campaign that ends early has tried some of every kind
        ask_all(work, warm, chosen, options.jobs, keep, deadline)
    print_table(rows)
    if kills:
        print(f"{kills} kills within whole trainings; the weights at the end are compared bit for bit")
    done = sum(row["faults"] for row in rows.values())
    failed = sum(row["failed"] for row in rows.values())
    print(f"{done} faults, {failed} failed, {len(faults) - done} left for want of time, "
          f"{(time.monotonic() - began) / 60:.1f} minutes, seed {options.seed}")  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
