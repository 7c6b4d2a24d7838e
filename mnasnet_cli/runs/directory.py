"""The folder of a run: its configuration, what it ran on, its log, its metrics and its results."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import yaml

from mnasnet_cli.config.loading import validate
from mnasnet_cli.config.schema import Config
from mnasnet_cli.console import say, warn
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.system.files import append_atomically, try_lock, write_atomically
from mnasnet_cli.system.machine import package_version

CONFIG_FILE = "config.yaml"
ENVIRONMENT_FILE = "environment.json"
METRICS_FILE = "metrics.jsonl"
RESULTS_FILE = "results.json"
LOG_FILE = "train.log"
CURVES_FILE = "curves.png"
_OWN_FILES = (CONFIG_FILE, ENVIRONMENT_FILE, METRICS_FILE, RESULTS_FILE, LOG_FILE, CURVES_FILE, ".lock")
_OWN_FOLDERS = ("checkpoints", "best", "events")

# A run may go on with another value of these: they change how far it goes and how it is watched, not what it computes
# on the way.
FREE_TO_CHANGE = (
    "training.eval_every_epochs",
    "training.eval_batch_size",
    "training.checkpoint_minutes",
    "training.keep_checkpoints",
)


class RunDirectory:
    """An open run. The process that writes it (`writer`) holds its lock until `close`."""

    def __init__(
        self,
        path: Path,
        config: Config,
        data: Mapping[str, str],
        *,
        fresh: bool,
        writer: bool,
        init: str | None = None,
    ):
        self.path = path
        self._writer = writer
        self._made: list[Path] = []  # the folder and its parents, as far as they weren't there
        self._began = False
        self._lock: TextIO | None = None
        self._metrics: Path | None = None
        if not writer:
            return
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is a file, but a run needs a folder; choose another --run-dir")
        if path.exists() and (self.exists(path) or not _visible(path)):
            self._lock = _lock(path)  # before anything is looked at, let alone moved
            if fresh and self.exists(path):
                _move_aside(path)
                self._lock.close()
            elif _has_checkpoint(path):
                self._check_same(config, data)
        elif path.exists():
            raise ConfigError(
                f"{path} holds other files but no run ({CONFIG_FILE} is missing); choose another --run-dir"
            )
        try:
            self._open(config, data, init)
        except BaseException:
            self.close(keep=False)
            raise

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether there is a run in this folder."""
        return (path / CONFIG_FILE).exists()

    def _open(self, config: Config, data: Mapping[str, str], init: str | None) -> None:
        self._began = not self.exists(self.path)
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        if self._lock is None or self._lock.closed:
            self._lock = _lock(self.path)
        self._clear_unfinished()  # of a process that was killed
        write_atomically(self.path / CONFIG_FILE, config.to_yaml())
        environment = {"data": dict(data), "init": init, **describe_environment()}
        write_atomically(self.path / ENVIRONMENT_FILE, json.dumps(environment, indent=2))

    def _check_same(self, config: Config, data: Mapping[str, str]) -> None:
        # As a version without a setting of today's computed: with that setting's default.
        before = validate(read_config(self.path) or {}, str(self.path / CONFIG_FILE)).model_dump(mode="json")
        # Where a schedule or the sizes look ahead to the last epoch, its number changes what is computed on the way.
        ahead = config.schedule.name == "cosine" or bool(config.data.progressive)
        free = FREE_TO_CHANGE if ahead else (*FREE_TO_CHANGE, "training.epochs")
        changed = [
            f"{key} was {old!r} and is now {new!r}"
            for key, old, new in _differences(before, config.model_dump(mode="json"))
            if key not in free
        ]
        if changed:
            raise ConfigError(
                f"{self.path} was begun with another configuration ({'; '.join(changed)}); go on with the same one, "
                "choose another --run-dir, or start over with --fresh, which moves the old run aside"
            )
        then = _read_environment(self.path).get("data", data)
        if then.get("fingerprint") != data["fingerprint"]:
            raise DataError(
                f"the records in {data['directory']} are not those that {self.path} was begun with (they were in "
                f"{then.get('directory')}, fingerprint {str(then.get('fingerprint'))[:12]}, now "
                f"{data['fingerprint'][:12]}); bring the old records back, choose another --run-dir, or start over "
                "with --fresh, which moves the old run aside"
            )

    def log(self, message: str) -> None:
        """Says a line on standard error and keeps it in the log."""
        say(message)
        self.note(message)

    def note(self, message: str) -> None:
        """Keeps a line in the log, as well as can be: it often tells of what went wrong."""
        if self._writer and self.path.is_dir():
            with contextlib.suppress(OSError):
                append_atomically(self.path / LOG_FILE, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")

    def resume_metrics(self, step: int) -> list[dict[str, Any]]:
        """Drops the metrics of steps after `step`, which will be done again; returns the others."""
        if not self._writer:
            return []
        kept = [line for line in read_metrics(self.path) if line["step"] <= step] if step else []
        write_atomically(self.path / METRICS_FILE, "".join(json.dumps(line) + "\n" for line in kept))
        self._metrics = self.path / METRICS_FILE
        return kept

    def add_metrics(self, **values: Any) -> None:
        if self._metrics is not None:
            append_atomically(self._metrics, json.dumps(values, allow_nan=False) + "\n")

    def write_results(self, results: Mapping[str, Any]) -> None:
        if self._writer:
            write_atomically(self.path / RESULTS_FILE, json.dumps(results, indent=2) + "\n")

    def close(self, *, keep: bool = True) -> None:
        """Releases the run; one that this process began is removed again unless `keep`, and nothing else with it."""
        if self._lock is not None:
            self._lock.close()
        if keep or not self._began:
            return
        self._clear_unfinished()
        for name in _OWN_FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in _OWN_FILES:
            (self.path / name).unlink(missing_ok=True)
        for folder in self._made:
            with contextlib.suppress(OSError):  # somebody else has put something there
                folder.rmdir()

    def _clear_unfinished(self) -> None:
        for name in _OWN_FILES:
            for left in self.path.glob(f".{name}.*.tmp"):
                left.unlink(missing_ok=True)


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; one that a kill cut short is left out."""
    path = run_dir / METRICS_FILE
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            warn(f"{path} has a line that was cut short; it is left out")
    return lines


def read_config(run_dir: Path) -> dict[str, Any] | None:
    """A run's configuration as nested mappings, or None where there is no run.

    Raises:
      ConfigError: there is one, but it is damaged.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        return None
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        tree = None
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} is damaged; bring it back, or start over with --fresh, which moves the old run aside"
        )
    return tree


def recorded_init(run_dir: Path) -> str | None:
    """The model that a run was to start from, where it has no checkpoint yet and so must start from it again."""
    if _has_checkpoint(run_dir):
        return None
    init = _read_environment(run_dir).get("init")
    return init if isinstance(init, str) else None


def _read_environment(run_dir: Path) -> dict[str, Any]:
    try:
        found = json.loads((run_dir / ENVIRONMENT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _has_checkpoint(path: Path) -> bool:
    return any((path / "checkpoints").glob("*.index"))


def _visible(path: Path) -> bool:
    """Whether a folder holds more than what a killed process leaves of a run that it was about to begin."""
    return any(not file.name.startswith(".") for file in path.iterdir())


def _move_aside(path: Path) -> None:
    if Path.cwd().is_relative_to(path.resolve()):
        raise ConfigError(
            f"{path} is where this command was started, and --fresh would move that folder aside; start it elsewhere"
        )
    aside = path.with_name(f"{path.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    path.rename(aside)
    say(f"the old run is kept in {aside}")


def _lock(path: Path) -> TextIO:
    """Keeps a second process from training into the same folder; the lock ends with the process, however it ends."""
    file = open(path / ".lock", "w", encoding="utf-8")  # noqa: SIM115 - held until the run is closed
    if not try_lock(file):
        file.close()
        raise ConfigError(f"another process is training into {path}; wait for it, or choose another --run-dir")
    return file


def _differences(before: Any, after: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if before == after else [(prefix.rstrip("."), before, after)]
    keys = [*before, *(key for key in after if key not in before)]
    return [found for key in keys for found in _differences(before.get(key), after.get(key), f"{prefix}{key}.")]


def describe_environment() -> dict[str, Any]:
    """Command, start, host, system, processors and versions."""
    packages = ("mnasnet", "tensorflow", "tf-slim", "numpy")
    return {
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": platform.node(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": {"python": platform.python_version()} | {name: package_version(name) for name in packages},
    }
