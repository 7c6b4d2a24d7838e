"""Runs a program of TF-Slim or of the Object Detection API with our nets registered:

python -m mnasnet_cli.integrations object_detection.model_main --pipeline_config_path=… --model_dir=…
python -m mnasnet_cli.integrations train_image_classifier.py --model_name=mnasnet_b1 …
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys

USAGE = "usage: python -m mnasnet_cli.integrations PROGRAM [ARGUMENTS]; PROGRAM is the name of a module or a .py file"


def register_all() -> list[str]:
    """Registers the nets in TF-Slim and in the API, whichever is on the path; returns the registered names."""
    names = []
    if _is_importable("nets.nets_factory"):
        from mnasnet_cli.integrations import nets_factory

        names += nets_factory.register()
    if _is_importable("object_detection.builders"):
        from mnasnet_cli.integrations import object_detection

        names += object_detection.register()
    return names


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # a parent package is missing
        return False


def main() -> None:
    """Registers the nets, then runs the program in this process as its main program."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(USAGE)
    del sys.argv[0]
    program = sys.argv[0]
    if not register_all():
        sys.exit(
            "neither TF-Slim's folder slim/ nor the Object Detection API can be imported; add one of them to PYTHONPATH"
        )
    if program.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(program)))
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
