"""How long a model takes: each in a process of its own, all in turns, so that the machine's moods meet all alike."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.errors import EnvironmentProblem, MnasnetError
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.latency.interrupts import interrupts_kept_back

MAX_ALIVE = 6  # models that keep their process between rounds; with more of them, each round starts one anew
FIRST_WARM_UP, LATER_WARM_UP = 10, 3  # calls that are not counted, of the first round and of each later one
SEED = 0  # of the noise that the models are given


@dataclass(frozen=True)
class Subject:
    """What is timed, and how."""

    name: str
    path: str
    """Anything that `open_model` takes."""
    image_size: int | None = None
    """None: its own."""
    resize: bool = False
    """Give its input that size as it is loaded, which a TFLite file allows, instead of asking for a model of it."""
    batch_size: int = 1
    threads: int = 1
    ema: bool = True
    best: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    """What else the report says of it; goes before what the model says of itself."""


@dataclass
class Timing:
    """What was measured of one subject, round by round."""

    subject: Subject
    about: dict[str, Any] = field(default_factory=dict)
    """format, kind, variant, width, params, multiply_adds, image_size, file_bytes, load_seconds, note: see `Runner`."""
    rounds: list[list[float]] = field(default_factory=list)
    """Seconds of each counted call."""
    peak_bytes: int = 0
    """Most memory that the process held: Python, the runtime and the model."""
    runtime_bytes: int = 0
    """Of it, what the process held before the model was loaded."""

    def summary(self) -> dict[str, Any]:
        """Percentiles in milliseconds, throughput, memory in MB (10⁶ bytes), and what the subject is."""
        seconds = np.concatenate([np.asarray(part) for part in self.rounds])
        p50, p90, p99 = np.percentile(seconds, [50, 90, 99]) * 1e3
        medians = [float(np.median(part)) * 1e3 for part in self.rounds]
        subject = self.subject
        return {
            "name": subject.name,
            **{key: value for key, value in self.about.items() if key != "file_bytes"},
            **subject.facts,
            "batch_size": subject.batch_size,
            "threads": subject.threads,
            "p50_ms": float(p50),
            "p90_ms": float(p90),
            "p99_ms": float(p99),
            "round_medians_ms": medians,
            "calls": len(seconds),
            "images_per_second": float(subject.batch_size / seconds.mean()),
            "peak_memory_mb": self.peak_bytes / 1e6,
            "model_memory_mb": (self.peak_bytes - self.runtime_bytes) / 1e6,
            "file_mb": self.about["file_bytes"] / 1e6,
        }


def measure(
    subjects: Sequence[Subject],
    *,
    runs: int = 100,
    rounds: int = 5,
    on_round: Callable[[int], object] = lambda done: None,
) -> list[Timing]:
    """Times every subject in each of the rounds, one after the other; `runs` counted calls of each in all.

    `on_round` is told how many measurements are done, of len(subjects) × rounds.

    Raises:
      what a model raised as it was loaded or run; EnvironmentProblem where its process died.
    """
    timings = [Timing(subject) for subject in subjects]
    workers = [_Worker(subject) for subject in subjects]
    calls = -(-runs // rounds)
    with contextlib.ExitStack() as stack:
        for worker in workers:
            stack.push(worker.leave)
        for number in range(rounds):
            for index, (timing, worker) in enumerate(zip(timings, workers, strict=True)):
                found = worker.measure(FIRST_WARM_UP if number == 0 else LATER_WARM_UP, calls)
                timing.about = found["about"] if number == 0 else timing.about
                timing.rounds.append(found["seconds"])
                timing.peak_bytes = max(timing.peak_bytes, found["peak_bytes"])
                timing.runtime_bytes = found["runtime_bytes"]
                if len(subjects) > MAX_ALIVE:
                    worker.close()
                on_round(number * len(subjects) + index + 1)
    return timings


class _Worker:
    """The process that holds one model; started when it is first asked."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._process: Any = None
        self._pipe: Connection | None = None

    def measure(self, warm_up: int, calls: int) -> dict[str, Any]:
        if self._pipe is None:
            # Not forked: threads and memory of this process are none of the model's.
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._subject), daemon=True)
            with interrupts_kept_back():
                process.start()
                self._pipe, self._process = ours, process
            theirs.close()
        try:
            self._pipe.send((warm_up, calls))
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise EnvironmentProblem(
                f"{self._subject.name}: its process ended with exit code {self._process.exitcode}; is memory short?"
            ) from error
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()  # the process ends when it reads
            self._process.join(timeout=10)
            if self._process.is_alive():
                self._process.kill()
            self._pipe = None

    def leave(self, kind: type[BaseException] | None, *_: object) -> None:
        """Closes; where measuring has failed or was interrupted, without waiting for what the process is at."""
        if kind is not None and self._pipe is not None:
            self._process.kill()
        self.close()


def _serve(pipe: Connection, subject: Subject) -> None:
    """The body of a worker: loads the model, then answers each request for calls with their times."""
    from mnasnet_cli.system.tensorflow_notices import silence_tensorflow

    silence_tensorflow()
    with contextlib.suppress(EOFError, OSError):
        call: Callable[[], None] | None = None
        while True:
            warm_up, calls = pipe.recv()
            try:
                if call is None:
                    call, facts = _load(subject)
                seconds = _time(call, warm_up, calls)
                pipe.send({**facts, "seconds": seconds, "peak_bytes": peak_memory()})
            except MnasnetError as error:
                pipe.send(error)
                return


def _load(subject: Subject) -> tuple[Callable[[], None], dict[str, Any]]:
    from mnasnet_cli.inference.runner import load_runtime, open_model

    load_runtime(subject.path)
    before, began = peak_memory(), time.perf_counter()
    wanted = None if subject.resize else subject.image_size
    runner = open_model(subject.path, ema=subject.ema, best=subject.best, image_size=wanted, threads=subject.threads)
    size = subject.image_size if subject.resize and subject.image_size else runner.image_size
    images = np.random.default_rng(SEED).normal(size=(subject.batch_size, size, size, 3)).astype(np.float32)
    call = runner.repeated(images)
    about = {
        "format": runner.format,
        "kind": runner.kind,
        **net_facts(runner.manifest),
        "image_size": size,
        "file_bytes": runner.file_bytes,
        "load_seconds": time.perf_counter() - began,
        "note": runner.timing_note,
    }
    return call, {"about": about, "runtime_bytes": before}


def net_facts(manifest: Manifest) -> dict[str, Any]:
    """What a report says of the net of a model."""
    return {key: getattr(manifest, key) for key in ("variant", "width", "params", "multiply_adds", "image_size")}


def _time(call: Callable[[], None], warm_up: int, calls: int) -> list[float]:
    for _ in range(warm_up):
        call()
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def peak_memory() -> int:
    """The most bytes of memory that this process has held since its program began."""
    status = Path("/proc/self/status")
    # Not getrusage on Linux: its maximum lives on from the parent.
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    if found:
        return int(found[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
