"""What a run ran on: command, machine and versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from typing import Any


def describe_environment() -> dict[str, Any]:
    """Command, start, host, system, processors and versions."""
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
