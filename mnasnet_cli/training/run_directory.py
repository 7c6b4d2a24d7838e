"""The folder of a run: its configuration, what it ran on, its log, its metrics and its results."""

from __future__ import annotations

import fcntl
import importlib.metadata
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

from mnasnet_cli.config import Config
from mnasnet_cli.console import say, warn
from mnasnet_cli.errors import ConfigError, DataError

CONFIG_FILE = "config.yaml"
ENVIRONMENT_FILE = "environment.json"
METRICS_FILE = "metrics.jsonl"
RESULTS_FILE = "results.json"
LOG_FILE = "train.log"

# A run may go on with another value of these: they change how far it goes and how it is watched, not what it computes
# on the way. `epochs` is among them only where no schedule looks ahead to the end.
FREE_TO_CHANGE = (
    "training.eval_every_epochs",
    "training.eval_batch_size",
    "training.checkpoint_minutes",
    "training.keep_checkpoints",
)


class RunDirectory:
    """An open run. The process that writes it (`writer`) holds its lock until `close`."""

    def __init__(self, path: Path, config: Config, data: Mapping[str, str], *, fresh: bool, writer: bool):
        self.path = path
        self._writer = writer
        self._created = False
        self._lock: TextIO | None = None
        self._metrics: TextIO | None = None
        if not writer:
            return
        if fresh and path.exists():
            _move_aside(path)
        if (path / CONFIG_FILE).exists():
            self._check_same(config, data)
        elif path.exists() and any(path.iterdir()):
            raise ConfigError(
                f"{path} holds other files but no run ({CONFIG_FILE} is missing); choose another --run-dir"
            )
        self._created = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(path)
        write_atomically(path / CONFIG_FILE, config.to_yaml())
        write_atomically(path / ENVIRONMENT_FILE, json.dumps({"data": dict(data), **_environment()}, indent=2))

    def _check_same(self, config: Config, data: Mapping[str, str]) -> None:
        before = yaml.safe_load((self.path / CONFIG_FILE).read_text(encoding="utf-8"))
        changed = [
            f"{key} was {old!r} and is now {new!r}"
            for key, old, new in _differences(before, config.model_dump(mode="json"))
            if key not in FREE_TO_CHANGE and not (key == "training.epochs" and config.schedule.name != "cosine")
        ]
        if changed:
            raise ConfigError(
                f"{self.path} was begun with another configuration ({'; '.join(changed)}); go on with the same one, "
                "choose another --run-dir, or start over with --fresh, which moves the old run aside"
            )
        environment = self.path / ENVIRONMENT_FILE
        then = json.loads(environment.read_text(encoding="utf-8"))["data"] if environment.exists() else dict(data)
        if then["fingerprint"] != data["fingerprint"]:
            raise DataError(
                f"the records in {data['directory']} are not those that {self.path} was begun with (they were in "
                f"{then['directory']}, fingerprint {then['fingerprint'][:12]}, now {data['fingerprint'][:12]}); bring "
                "the old records back, choose another --run-dir, or start over with --fresh"
            )

    def log(self, message: str) -> None:
        """Says a line on standard error and keeps it in the log."""
        say(message)
        if self._writer:
            with open(self.path / LOG_FILE, "a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")

    def resume_metrics(self, step: int) -> list[dict[str, Any]]:
        """Drops the metrics of steps after `step`, which will be done again; returns the others."""
        if not self._writer:
            return []
        kept = [line for line in read_metrics(self.path) if line["step"] <= step] if step else []
        write_atomically(self.path / METRICS_FILE, "".join(json.dumps(line) + "\n" for line in kept))
        self._metrics = open(self.path / METRICS_FILE, "a", encoding="utf-8")  # noqa: SIM115 - open until `close`
        return kept

    def add_metrics(self, **values: Any) -> None:
        if self._metrics is not None:
            self._metrics.write(json.dumps(values) + "\n")
            self._metrics.flush()

    def write_results(self, results: Mapping[str, Any]) -> None:
        if self._writer:
            write_atomically(self.path / RESULTS_FILE, json.dumps(results, indent=2) + "\n")

    def close(self, *, keep: bool = True) -> None:
        """Releases the run; a folder that this process made is removed again unless `keep`."""
        for file in (self._metrics, self._lock):
            if file is not None:
                file.close()
        if self._created and not keep:
            shutil.rmtree(self.path, ignore_errors=True)


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
    """A run's configuration as nested mappings, or None where there is no run."""
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        return None
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tree if isinstance(tree, dict) else None


def write_atomically(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _move_aside(path: Path) -> None:
    aside = path.with_name(f"{path.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    path.rename(aside)
    say(f"the old run is kept in {aside}")


def _lock(path: Path) -> TextIO:
    """Keeps a second process from training into the same folder; the lock ends with the process, however it ends."""
    file = open(path / ".lock", "w", encoding="utf-8")  # noqa: SIM115 - held until the run is closed
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ConfigError(
            f"another process is training into {path}; wait for it, or choose another --run-dir"
        ) from None
    return file


def _differences(before: Any, after: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if before == after else [(prefix.rstrip("."), before, after)]
    keys = [*before, *(key for key in after if key not in before)]
    return [found for key in keys for found in _differences(before.get(key), after.get(key), f"{prefix}{key}.")]


def _environment() -> dict[str, Any]:
    packages = ("mnasnet", "tensorflow", "tf-slim", "numpy")
    return {
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": platform.node(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
