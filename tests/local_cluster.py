"""A cluster on this machine: its TF_CONFIG, free ports, and the processes of a run."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parent / "traced_training.py"


def tf_config(addresses: list[str], index: int) -> str:
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def free_addresses(count: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


class Workers:
    """Processes of one run on this machine; none outlives the test."""

    def __init__(self, folder: Path, arguments: list[str]):
        self.folder, self.arguments = folder, arguments
        self.addresses = free_addresses(2)
        self.running: dict[int, subprocess.Popen[str]] = {}

    def start(self, index: int, *more: str, addresses: list[str] | None = None, replicas: int = 1) -> None:
        config = tf_config(self.addresses if addresses is None else addresses, index)
        environment = {**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1", "MNASNET_WAIT_SECONDS": "300"}
        with open(self.folder / f"{index}.log", "a") as log:
            self.running[index] = subprocess.Popen(
                [sys.executable, PROGRAM, self.folder / f"{index}.npz", str(replicas), *self.arguments, *more],
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
            )

    def wait(self, seconds: float) -> list[int]:
        """The exit codes, by index."""
        end = time.monotonic() + seconds
        try:
            return [self.running[i].wait(max(1.0, end - time.monotonic())) for i in sorted(self.running)]
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {seconds} s; {self.log()}")

    def until(self, path: Path, text: str, seconds: float) -> None:
        """Waits until a file has a text."""
        end = time.monotonic() + seconds
        while not (path.exists() and text in path.read_text()):
            assert time.monotonic() < end, self.log()
            assert all(process.poll() is None for process in self.running.values()), self.log()
            time.sleep(0.05)

    def log(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))

    def held(self, index: int, replica: int = 0) -> dict[str, np.ndarray]:
        """What a replica of a process held at the end, by name."""
        with np.load(self.folder / f"{index}.npz") as file:
            return {name[2:]: file[name] for name in file.files if name.startswith(f"{replica}/")}
