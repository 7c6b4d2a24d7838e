"""Builds the wheel, installs it in an environment of its own, and uses it there, away from the checkout.

    python tests/wheel/check_wheel.py

Takes a few minutes and a package index: the environment gets TensorFlow and the other packages that the wheel asks for,
in the versions of constraints.txt. `wheel_probe.py` runs inside it. Ends with 1 where something does not hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def build(folder: Path) -> Path:
    """Builds the wheel into `folder`; returns its path."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("mnasnet-*.whl")
    print(f"built {wheel.name}, {wheel.stat().st_size:,} bytes", flush=True)
    return wheel


def install(wheel: Path, home: Path) -> Path:
    """Makes a virtual environment with the wheel and what it asks for; returns its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
    print("installing it with all that it needs (a few minutes)", flush=True)
    constraints = str(ROOT / "constraints.txt")
    subprocess.run([*pip, "install", "--quiet", "--constraint", constraints, str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True)
    return home / "bin"


def main() -> int:
    """Runs the check; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="mnasnet-wheel-") as name:
        folder = Path(name)
        programs = install(build(folder), folder / "venv")
        probe = shutil.copy(HERE / "wheel_probe.py", folder)  # beside nothing else of the checkout
        recipes = sorted(str(path.relative_to(ROOT / "configs")) for path in (ROOT / "configs").glob("*/*"))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment["PATH"] = os.pathsep.join([str(programs), os.environ.get("PATH", "")])
        workplace = folder / "work"
        workplace.mkdir()
        command = [str(programs / "python"), str(probe), *recipes]
        return subprocess.run(command, cwd=workplace, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
