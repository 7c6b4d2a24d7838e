"""Builds and trains our nets through TF-Slim's real ``nets_factory``, under TensorFlow 1.15 on Python 3.7.

    python tests/tf1/check_nets_factory.py

First with our checkout on the path, then with the copied folder ``slim/nets/mnasnet_nets`` alone. Makes what it needs
on first use (``tf1_environment``) and runs ``nets_factory_probe.py`` there. Without Python 3.7 it says so and ends
with 0.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tf1_environment import ROOT, Tf1, tf1_or_exit

GUIDE = ROOT / "docs/how-to/tf-slim.md"


def copying_commands() -> str:
    """Returns the commands of the guide that copy our folder into slim's and register it there."""
    blocks = re.findall(r"^```bash\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (commands,) = [block for block in blocks if "mnasnet_nets" in block]
    return str(commands)


def check_copy(tf1: Tf1) -> int:
    """Runs the guide's commands beside a copy of slim, then the probe with that copy alone on the path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slim = folder / "models/research/slim"
        shutil.copytree(tf1.research / "slim", slim)
        (folder / "mnasnet").symlink_to(ROOT)
        subprocess.run(["bash", "-e", "-c", copying_commands()], cwd=folder, check=True)
        (folder / "mnasnet").unlink()
        return tf1.run("nets_factory_probe.py", "copied", path=[slim])


def main() -> int:
    """Runs the check; returns the exit code."""
    tf1 = tf1_or_exit()
    return tf1.run("nets_factory_probe.py", "registered") or check_copy(tf1)


if __name__ == "__main__":
    sys.exit(main())
