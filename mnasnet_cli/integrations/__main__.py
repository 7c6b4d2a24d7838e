"""Runs a program of TF-Slim's or of the Object Detection API with our nets registered:

python -m mnasnet_cli.integrations object_detection.model_main --pipeline_config_path=… --model_dir=…
python -m mnasnet_cli.integrations train_image_classifier.py --model_name=mnasnet_b1 …
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys

USAGE = "usage: python -m mnasnet_cli.integrations PROGRAM [ARGUMENTS]; PROGRAM is a module's name or a .py file"


def register_all() -> list[str]:
    """Registers with each of the two programs that is on the path; returns the names that they know now."""
    names = []
    if _is_there("nets.nets_factory"):
        from mnasnet_cli.integrations import nets_factory

        names += nets_factory.register()
    if _is_there("object_detection.builders"):
        from mnasnet_cli.integrations import object_detection

        names += object_detection.register()
    return names


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # its package is not there
        return False


def main() -> None:
    """Registers, then runs the program in this process as if it had been started itself."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(USAGE)
    del sys.argv[0]
    program = sys.argv[0]
    if not register_all():
        sys.exit(
            "neither TF-Slim's nets nor the Object Detection API is on PYTHONPATH; there is nothing to register with"
        )
    if program.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(program)))
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
