"""Builds and trains our nets through TF-Slim's real ``nets_factory``, under TensorFlow 1.15 on Python 3.7.

    python tests/tf1/check_nets_factory.py

Needs a Python 3.7 (on PATH, or a version of pyenv) and a package index. Makes a virtual environment under
build/tf1 the first time, fetches the source package that carries the ``slim/`` folder, and runs
``nets_factory_probe.py`` there. Without Python 3.7 it says so and ends with 0.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("MNASNET_TF1_CACHE", str(ROOT / "build" / "tf1")))
PINS = ["tensorflow==1.15.5", "protobuf<3.21", "tf-slim==1.1.0"]
SOURCE = "tf-models-research-object-detection==2.8.0.post1"
NO_PYTHON = "skipped: no Python 3.7 on PATH or in pyenv, and TensorFlow 1.15 runs on nothing newer"


def find_python() -> str | None:
    """Returns a Python 3.7 that starts, or None; pyenv's shims are on PATH even where they lead nowhere."""
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    found = [str(path) for path in sorted(pyenv.glob("versions/3.7.*/bin/python3.7"))]
    for candidate in [*found, shutil.which("python3.7")]:
        if candidate and subprocess.run([candidate, "-c", "import ssl"], capture_output=True).returncode == 0:
            return candidate
    return None


def make_environment(python: str) -> Path:
    """Returns the python of a virtual environment with TensorFlow 1.15, making it where it isn't whole."""
    home = CACHE / "venv"
    inside, ready = home / "bin" / "python", home / ".ready"
    if not ready.exists():
        print(f"installing {', '.join(PINS)} into {home}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(inside), "-m", "pip", "install", "--quiet", *PINS], check=True)
        ready.touch()
    return inside


def fetch_slim(python: Path) -> Path:
    """Returns the ``slim/`` folder of the source package, downloading and unpacking it where it isn't there."""
    target = CACHE / "slim"
    if not target.exists():
        download = CACHE / "download"
        command = ["pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps", "--dest", str(download)]
        subprocess.run([str(python), "-m", *command, SOURCE], check=True)
        (archive,) = download.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(download, filter="data")
        (unpacked,) = download.glob("*/slim")
        unpacked.rename(target)
    return target


def main() -> int:
    """Runs the check; returns the exit code."""
    python = find_python()
    if python is None:
        print(NO_PYTHON)
        return 0
    try:
        environment = make_environment(python)
        slim = fetch_slim(environment)
    except subprocess.CalledProcessError as error:
        print(f"cannot set up TensorFlow 1.15: {error}; it needs a package index (see pip's message above)")
        return 2
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(slim), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    probe = Path(__file__).with_name("nets_factory_probe.py")
    return subprocess.run([str(environment), "-W", "ignore", str(probe)], env=variables).returncode


if __name__ == "__main__":
    sys.exit(main())
