"""TensorFlow 1.15 on Python 3.7 with TF-Slim's folder and the Object Detection API: made on first use, kept in a cache.

The checks beside this module run a *probe* there: a script of Python 3.7 that fails with an AssertionError and prints
a line for each thing that held. ``MNASNET_TF1_CACHE`` names the cache's folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"
SOURCE = "tf-models-research-object-detection==2.8.0.post1"
NO_PYTHON = "skipped: no Python 3.7 on PATH or in pyenv, and TensorFlow 1.15 runs on nothing newer"

_USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = Path(os.environ.get("MNASNET_TF1_CACHE") or _USER_CACHE / "mnasnet-tf1")


@dataclass(frozen=True)
class Tf1:
    """A Python with TensorFlow 1.15, and the folder that holds ``object_detection`` and ``slim``."""

    python: Path
    research: Path

    def run(self, probe: str, *arguments: str | Path, path: Sequence[Path] = ()) -> int:
        """Runs a probe and returns the exit code; `path` replaces PYTHONPATH: the API, slim and our checkout."""
        return self._start(path, str(HERE / probe), *arguments)

    def run_module(self, module: str, *arguments: str | Path) -> int:
        """The same for `python -m MODULE`."""
        return self._start((), "-m", module, *arguments)

    def _start(self, path: Sequence[Path], *arguments: str | Path) -> int:
        # TensorFlow 2, where this process has imported it, has left a word there that 1.15 takes for its own.
        variables = {name: value for name, value in os.environ.items() if name != "TF2_BEHAVIOR"} | {
            "PYTHONPATH": os.pathsep.join(map(str, path or [self.research, self.research / "slim", ROOT])),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        return subprocess.run([str(self.python), "-W", "ignore", *map(str, arguments)], env=variables).returncode


def find_python() -> str | None:
    """Returns a Python 3.7 that starts, or None; pyenv's shims are on PATH even where they lead nowhere."""
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    found = [str(path) for path in sorted(pyenv.glob("versions/3.7.*/bin/python3.7"))]
    for candidate in [*found, shutil.which("python3.7")]:
        if candidate and subprocess.run([candidate, "-c", "import ssl"], capture_output=True).returncode == 0:
            return candidate
    return None


def _make_environment(python: str) -> Path:
    """Returns the python of the virtual environment, making it where it isn't whole or the requirements changed."""
    home = CACHE / "venv"
    inside, ready = home / "bin" / "python", home / ".ready"
    wanted = REQUIREMENTS.read_text()
    if not ready.exists() or ready.read_text() != wanted:
        print(f"installing TensorFlow 1.15 and what the Object Detection API needs into {home}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(inside), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        ready.write_text(wanted)
    return inside


def _fetch_research(python: Path) -> Path:
    """Returns the unpacked source package, downloading it where it isn't there."""
    target = CACHE / "research"
    if not target.exists():
        download = CACHE / "download"
        command = ["pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps", "--dest", str(download)]
        subprocess.run([str(python), "-m", *command, SOURCE], check=True)
        (archive,) = download.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(download, filter="data")
        (unpacked,) = download.glob("*/slim")
        unpacked.parent.rename(target)
    return target


def tf1_or_exit() -> Tf1:
    """Returns the environment, making it where needed; ends the process without a Python 3.7 or a package index."""
    python = find_python()
    if python is None:
        print(NO_PYTHON)
        sys.exit(0)
    try:
        inside = _make_environment(python)
        return Tf1(inside, _fetch_research(inside))
    except subprocess.CalledProcessError as error:
        print(f"cannot set up TensorFlow 1.15: {error}; it needs a package index (see pip's message above)")
        sys.exit(2)
