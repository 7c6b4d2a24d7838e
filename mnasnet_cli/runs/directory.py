"""The directory of a run: configuration, environment, log, metrics and results."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from mnasnet_cli.config.distillation import TeacherRecord
from mnasnet_cli.config.loading import validate
from mnasnet_cli.config.schema import Config
from mnasnet_cli.console import say, visible, warn
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.runs.run_files import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    EVALUATION_FILE,
    METRICS_FILE,
    RESULTS_FILE,
    TIME_FILE,
    MetricsLine,
    read_config,
    read_environment,
    read_metrics,
    read_times,
)
from mnasnet_cli.system.files import (
    append_atomically,
    has_visible_files,
    make_folder,
    move_into_place,
    open_lock,
    write_atomically,
)
from mnasnet_cli.system.machine import host as describe_host
from mnasnet_cli.system.machine import package_version
from mnasnet_cli.system.shell import words

LOG_FILE = "train.log"
CURVES_FILE = "curves.png"
PAGE_FILE, CARD_FILE = "card.html", "card.md"
MLFLOW_FILE = "mlflow.json"
_OWN_FILES = (
    CONFIG_FILE, ENVIRONMENT_FILE, METRICS_FILE, RESULTS_FILE, LOG_FILE, CURVES_FILE, TIME_FILE, EVALUATION_FILE,
    PAGE_FILE, CARD_FILE, MLFLOW_FILE, ".lock",
)  # fmt: skip
_OWN_FOLDERS = ("checkpoints", "best", "events")

# A run may be resumed with other values of these: they do not change what it computes.
FREE_TO_CHANGE = (
    "training.eval_every_epochs",
    "training.patience",
    "training.eval_batch_size",
    "training.checkpoint_minutes",
    "training.keep_checkpoints",
    "training.track",
)


class RunDirectory:
    """An open run. The process that writes to it (`writer`) holds its lock until `close`."""

    def __init__(
        self,
        path: Path,
        config: Config,
        data: Mapping[str, str],
        *,
        fresh: bool,
        writer: bool,
        init: str | None = None,
        teacher: TeacherRecord | None = None,
        accelerators: Sequence[str] = (),
    ):
        """Opens a run to start or to resume it.

        Args:
          data: `directory` and `fingerprint` of the records.
          fresh: move an existing run aside and start over.
          init: the model whose weights the run starts from; recorded for a resume.
          teacher: the model that the run learns from; recorded for a resume.
          accelerators: names of the GPUs or TPUs that are used; recorded.

        Raises:
          ConfigError: the folder holds other files, another process is training into it, or the existing run has a
            different configuration.
          DataError: the existing run was trained on other records.
        """
        self.path, self.teacher = path, teacher
        self._writer = writer
        self._created: list[Path] = []  # the folder and those of its parents that did not exist
        self._is_new = False
        self._lock: IO[Any] | None = None
        self._metrics: Path | None = None
        self._log_problem: EnvironmentProblem | None = None
        self._description: dict[str, str] = {}  # the files without which the folder is no run
        if not writer:
            return
        try:
            self._claim(config, data, fresh=fresh)
            self._open(config, data, {"init": init, "teacher": teacher}, accelerators)
        except BaseException:
            self.close(keep=False)
            raise

    def _claim(self, config: Config, data: Mapping[str, str], *, fresh: bool) -> None:
        """Lock an existing run, then move it aside or check that it can be resumed."""
        path = self.path
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is a file, expected a folder for the run; choose another --run-dir")
        if path.exists() and (self.exists(path) or not has_visible_files(path)):
            self._lock = _lock(path)  # before any file is read or moved
            if fresh and self.exists(path):
                move_aside(path)
                self._lock.close()
            elif _has_checkpoint(path):
                self._check_same(config, data)
        elif path.exists():
            raise ConfigError(
                f"{path} holds other files and no run ({CONFIG_FILE} is missing); choose another --run-dir"
            )

    @staticmethod
    def exists(path: Path) -> bool:
        """Return whether a folder holds a run."""
        return (path / CONFIG_FILE).exists()

    def _open(
        self, config: Config, data: Mapping[str, str], models: Mapping[str, Any], accelerators: Sequence[str]
    ) -> None:
        self._is_new = not self.exists(self.path)
        self._created = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        make_folder(self.path)
        if self._lock is None or self._lock.closed:
            self._lock = _lock(self.path)
        environment = {"data": dict(data), **models, **describe_environment(), "accelerators": list(accelerators)}
        self._description = {CONFIG_FILE: config.to_yaml(), ENVIRONMENT_FILE: json.dumps(environment, indent=2)}
        self._describe()

    def _describe(self) -> None:
        for name, content in self._description.items():
            write_atomically(self.path / name, content)

    def _restore(self) -> None:
        """Write the run's description again if it went away: without it, the weights are out of reach."""
        if self._description and not self.exists(self.path):
            make_folder(self.path)
            self._describe()
            self.warn(
                f"{self.path} was removed or moved while the run was trained; what is written from now on lies there"
            )

    def _check_same(self, config: Config, data: Mapping[str, str]) -> None:
        # A setting that is missing, because an older version did not have it, counts as its default.
        before = validate(read_config(self.path) or {}, str(self.path / CONFIG_FILE)).comparable()
        # With these the number of epochs changes what every epoch computes.
        plain = config.detection is not None and config.detection.plain_epochs
        uses_epochs = config.schedule.name == "cosine" or bool(config.data.progressive or plain)
        free = FREE_TO_CHANGE if uses_epochs else (*FREE_TO_CHANGE, "training.epochs")
        changed = [
            f"{key} was {old!r} and is now {new!r}"
            for key, old, new in differences(before, config.comparable())
            if key not in free
        ]
        if [found.split()[0] for found in changed] == ["training.epochs"]:
            anew = words("--init", self.path, "--run-dir", "NEW", "--epochs", config.training.epochs)
            raise ConfigError(
                f"{self.path} holds a run whose schedule depends on the number of epochs ({changed[0]}); train on from "
                f"its weights with `{anew}`, or start over with --fresh, which moves the old run aside"
            )
        if changed:
            raise ConfigError(
                f"{self.path} holds a run with a different configuration ({'; '.join(changed)}); use the same "
                "configuration, choose another --run-dir, or start over with --fresh, which moves the old run aside"
            )
        recorded = read_environment(self.path).get("data", data)
        if recorded.get("fingerprint") != data["fingerprint"]:
            raise DataError(
                f"{self.path} was trained on other records: those in {recorded.get('directory')} with fingerprint "
                f"{str(recorded.get('fingerprint'))[:12]}, but {data['directory']} has {data['fingerprint'][:12]}; "
                "restore the records, choose another --run-dir, or start over with --fresh, which moves the old run "
                "aside"
            )

    def log(self, message: str) -> None:
        """Print a line on standard error and write it to the log."""
        say(message)
        self.note(message)

    def warn(self, message: str) -> None:
        """Print a warning on standard error and write it to the log."""
        warn(message)
        self.note(f"warning: {message}")

    def note(self, message: str) -> None:
        """Write a line to the log. `complete` tells of a failure to write: the line often reports another failure."""
        if self._writer and self.path.is_dir():
            try:
                append_atomically(self.path / LOG_FILE, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {visible(message)}\n")
            except EnvironmentProblem as error:
                self._log_problem = error

    def resume_metrics(self, step: int) -> list[MetricsLine]:
        """Drop the metrics of steps after `step`, which will be repeated, and return the others."""
        if not self._writer:
            return []
        kept = [line for line in read_metrics(self.path) if line["step"] <= step] if step else []
        write_atomically(self.path / METRICS_FILE, "".join(json.dumps(line) + "\n" for line in kept))
        self._metrics = self.path / METRICS_FILE
        return kept

    def add_metrics(self, **values: Any) -> None:
        """Append a line to metrics.jsonl."""
        if self._metrics is not None:
            self._restore()
            append_atomically(self._metrics, json.dumps(values, allow_nan=False) + "\n")

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write results.json."""
        if self._writer:
            self._restore()
            write_atomically(self.path / RESULTS_FILE, json.dumps(results, indent=2) + "\n")

    def complete(self, seconds: float, cpu_seconds: float) -> None:
        """Write the time at the end of a training, and say so if the log lacks lines."""
        self.write_time(seconds, cpu_seconds)
        if self._log_problem is not None:
            warn(f"lines are missing in {self.path / LOG_FILE}: {self._log_problem}")

    def write_time(self, seconds: float, cpu_seconds: float) -> None:
        """Write the time of all sessions so far."""
        if self._writer and self.path.is_dir():
            times = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3)}
            write_atomically(self.path / TIME_FILE, json.dumps(times) + "\n")

    def earlier_time(self) -> dict[str, float]:
        """Return `seconds` and `cpu_seconds` of the earlier sessions, of a killed one up to its last line of metrics.

        Call it before `resume_metrics`: the time of steps that will be repeated has passed as well.
        """
        lines: list[Mapping[str, Any]] = [read_times(self.path)]
        if self._writer:
            lines += read_metrics(self.path)
        longest = max(lines, key=lambda line: float(line.get("seconds", 0.0)))
        return {key: float(longest.get(key, 0.0)) for key in ("seconds", "cpu_seconds")}

    def close(self, *, keep: bool = True) -> None:
        """Release the run. Without `keep`, a run that this process started is removed; other files there stay."""
        if self._lock is not None:
            self._lock.close()
        if keep or not self._is_new:
            return
        for name in _OWN_FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in _OWN_FILES:
            (self.path / name).unlink(missing_ok=True)
        for folder in self._created:
            with contextlib.suppress(OSError):  # it holds other files
                folder.rmdir()


def recorded_init(run_dir: Path) -> str | None:
    """Return the model that a run starts from, as recorded; None if the run has a checkpoint to resume from."""
    if _has_checkpoint(run_dir):
        return None
    return read_environment(run_dir).get("init")


def _has_checkpoint(path: Path) -> bool:
    return any((path / "checkpoints").glob("*.index"))


def move_aside(path: Path, what: str = "run") -> None:
    """Rename a folder for --fresh, and say so. what: it holds. Raises ConfigError if it holds the current folder."""
    if Path.cwd().is_relative_to(path.resolve()):
        raise ConfigError(
            f"--fresh would move {path} aside, but it holds the current folder of this command; start the command "
            "from another folder"
        )
    aside = path.with_name(f"{path.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    move_into_place(path, aside)
    say(f"the old {what} is now in {aside}")


def _lock(path: Path) -> IO[Any]:
    """Lock a run against a second process. The system releases the lock when the process ends."""
    file = open_lock(path / ".lock")
    if file is None:
        raise ConfigError(f"another process is training into {path}; wait for it, or choose another --run-dir")
    return file


def differences(before: Any, after: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Return (dotted key, value before, value after) where two nested dictionaries differ."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if before == after else [(prefix.rstrip("."), before, after)]
    keys = [*before, *(key for key in after if key not in before)]
    return [found for key in keys for found in differences(before.get(key), after.get(key), f"{prefix}{key}.")]


def describe_environment() -> dict[str, Any]:
    """Return command line, start time, host, operating system, processor, memory and package versions."""
    packages = ("mnasnet", "tensorflow", "tf-slim", "numpy")
    machine = describe_host(())
    return {
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": platform.node(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "processor": machine["cpu"]["name"],
        "memory_gb": machine["memory_gb"],
        "versions": {"python": platform.python_version()} | {name: package_version(name) for name in packages},
    }
