"""Measures latency and memory. Each model has its own process; the models are measured in alternating rounds.

The rounds alternate so that changes in the load of the machine affect all models alike.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.config.task_names import MODEL_KINDS
from mnasnet_cli.errors import EnvironmentProblem, MnasnetError
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.system.workers import main_module_hidden

MAX_PROCESSES = 6  # with more models than this, each round starts the processes again
FIRST_WARM_UP, LATER_WARM_UP = 10, 3  # uncounted calls in the first round and in each later round
SEED = 0  # of the random input


@dataclass(frozen=True)
class BenchmarkCase:
    """A model and the conditions of its measurement.

    Attributes:
      name: the name in the report.
      path: any model that `open_model` opens.
      image_size: side of the input in px; the model's own if None.
      resize_input: resize the input tensor of a TFLite file instead of building the model for `image_size`.
      ema, best: which weights of a run to use.
      metadata: further columns of the report; they override those of the model.
    """

    name: str
    path: str
    image_size: int | None = None
    resize_input: bool = False
    batch_size: int = 1
    threads: int = 1
    ema: bool = True
    best: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Timing:
    """The measurements of one case.

    Attributes:
      model_info: format, kind, variant, width, params, multiply_adds, image_size, file_bytes, load_seconds and note.
      rounds: per round, the seconds of each counted call.
      peak_bytes: peak memory of the process: Python, the runtime and the model.
      runtime_bytes: peak memory before the model was loaded.
    """

    case: BenchmarkCase
    model_info: dict[str, Any] = field(default_factory=dict)
    rounds: list[list[float]] = field(default_factory=list)
    peak_bytes: int = 0
    runtime_bytes: int = 0

    def summary(self) -> dict[str, Any]:
        """A row of the report: percentiles in ms, throughput, memory in MB (10⁶ bytes), and the metadata."""
        seconds = np.concatenate([np.asarray(calls) for calls in self.rounds])
        p50, p90, p99 = np.percentile(seconds, [50, 90, 99]) * 1e3
        medians = [float(np.median(calls)) * 1e3 for calls in self.rounds]
        case = self.case
        return {
            "name": case.name,
            **{key: value for key, value in self.model_info.items() if key != "file_bytes"},
            **case.metadata,
            "batch_size": case.batch_size,
            "threads": case.threads,
            "p50_ms": float(p50),
            "p90_ms": float(p90),
            "p99_ms": float(p99),
            "round_medians_ms": medians,
            "calls": len(seconds),
            "images_per_second": float(case.batch_size / seconds.mean()),
            "peak_memory_mb": self.peak_bytes / 1e6,
            "model_memory_mb": (self.peak_bytes - self.runtime_bytes) / 1e6,
            "file_mb": self.model_info["file_bytes"] / 1e6,
        }


def measure(
    cases: Sequence[BenchmarkCase],
    *,
    runs: int = 100,
    rounds: int = 5,
    on_progress: Callable[[int], object] = lambda done: None,
) -> list[Timing]:
    """Measures every case once per round.

    Args:
      runs: counted calls of each case over all rounds.
      on_progress: receives the number of measurements done, of len(cases) × rounds.

    Raises:
      MnasnetError: a model can't be loaded or run.
      EnvironmentProblem: the process of a model died.
    """
    timings = [Timing(case) for case in cases]
    workers = [_Worker(case) for case in cases]
    calls = -(-runs // rounds)
    with contextlib.ExitStack() as stack:
        for worker in workers:
            stack.push(worker.stop)
        for number in range(rounds):
            for index, (timing, worker) in enumerate(zip(timings, workers, strict=True)):
                result = worker.measure(FIRST_WARM_UP if number == 0 else LATER_WARM_UP, calls)
                if number == 0:
                    timing.model_info = result["model_info"]
                timing.rounds.append(result["seconds"])
                timing.peak_bytes = max(timing.peak_bytes, result["peak_bytes"])
                timing.runtime_bytes = result["runtime_bytes"]
                if len(cases) > MAX_PROCESSES:
                    worker.close()
                on_progress(number * len(cases) + index + 1)
    return timings


class _Worker:
    """The process that holds one model. It starts with the first measurement."""

    def __init__(self, case: BenchmarkCase) -> None:
        self._case = case
        self._process: Any = None
        self._pipe: Connection | None = None

    def measure(self, warm_up: int, calls: int) -> dict[str, Any]:
        if self._pipe is None:
            # Spawned, not forked: a forked process would inherit this process's threads and memory.
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_run_worker, args=(theirs, self._case), daemon=True)
            with defer_interrupts(), main_module_hidden():
                process.start()
                self._pipe, self._process = ours, process
            theirs.close()
        try:
            self._pipe.send((warm_up, calls))
            result = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise EnvironmentProblem(
                f"{self._case.name}: its process ended with exit code {self._process.exitcode}; check the free memory"
            ) from error
        if isinstance(result, BaseException):
            raise result
        return dict(result)

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()  # the process ends when it reads from the pipe
            self._process.join(timeout=10)
            if self._process.is_alive():
                self._process.kill()
            self._pipe = None

    def stop(self, error: type[BaseException] | None, *_: object) -> None:
        """Closes the worker; after an error or interrupt, without waiting for the current call."""
        if error is not None and self._pipe is not None:
            self._process.kill()
        self.close()


@contextlib.contextmanager
def defer_interrupts() -> Iterator[None]:
    """Delays Ctrl-C until the block ends, and blocks it in processes that start within the block.

    A terminal sends Ctrl-C to the parent and to all children. Without this, a child that is still starting Python would
    print a traceback. The parent ends its children instead.
    """
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        resource_tracker.ensure_running()  # starting it later, with the child, would unblock the signal
        # A child inherits the blocked signals but no handler. The handler is for other threads of this process.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        signal.raise_signal(signal.SIGINT)


def _run_worker(pipe: Connection, case: BenchmarkCase) -> None:
    """The main function of a worker process: loads the model, then answers each request with the times of its calls."""
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()
    with contextlib.suppress(EOFError, OSError):
        call: Callable[[], None] | None = None
        while True:
            warm_up, calls = pipe.recv()
            try:
                if call is None:
                    call, info = _load_model(case)
                seconds = _time_calls(call, warm_up, calls)
                pipe.send({**info, "seconds": seconds, "peak_bytes": peak_memory()})
            except MnasnetError as error:
                pipe.send(error)
                return


def _load_model(case: BenchmarkCase) -> tuple[Callable[[], None], dict[str, Any]]:
    """A function that runs the model once on random input, and what is known of the model."""
    from mnasnet_cli.inference.runner import import_runtime, open_model

    import_runtime(case.path)
    runtime_bytes, began = peak_memory(), time.perf_counter()
    built_size = None if case.resize_input else case.image_size
    runner = open_model(case.path, ema=case.ema, best=case.best, image_size=built_size, threads=case.threads)
    size = case.image_size if case.resize_input and case.image_size else runner.image_size
    images = np.random.default_rng(SEED).normal(size=(case.batch_size, size, size, 3)).astype(np.float32)
    call = runner.inference_call(images)
    model_info = {
        "format": runner.format,
        "kind": MODEL_KINDS[runner.task],
        **net_metadata(runner.manifest),
        "image_size": size,
        "file_bytes": runner.file_bytes,
        "load_seconds": time.perf_counter() - began,
        "note": runner.timing_note,
    }
    return call, {"model_info": model_info, "runtime_bytes": runtime_bytes}


def net_metadata(manifest: Manifest) -> dict[str, Any]:
    """The columns of a report that describe the net of a model."""
    return {key: getattr(manifest, key) for key in ("variant", "width", "params", "multiply_adds", "image_size")}


def _time_calls(call: Callable[[], None], warm_up: int, calls: int) -> list[float]:
    for _ in range(warm_up):
        call()
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def peak_memory() -> int:
    """The peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    # Not getrusage on Linux: a child inherits its parent's maximum.
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    if found:
        return int(found[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
