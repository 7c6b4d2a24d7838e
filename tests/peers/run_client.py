"""Runs a program of the page on pictures, in a Python that does not import this project.

    PYTHON -I run_client.py PROGRAMS NAME FOLDER PICTURES OUT.json

PROGRAMS holds the programs. NAME is one of them, without `.py`; after a colon comes a way in which MediaPipe gets a
picture. FOLDER has the exported file, and OUT gets what the program finds in each picture.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

programs, name, folder, pictures, out = sys.argv[1:]
sys.path.insert(0, programs)
program, _, way = name.partition(":")
module = importlib.import_module(program)
reader = importlib.import_module("reader")
net = module.Net(folder)
if way == "whole":
    net.prepared = lambda image: image
elif way == "region":
    net.prepared = lambda image: reader.cropped(image, net.manifest["preprocessing"])
found = {}
for path in sorted(Path(pictures).iterdir()):
    answer = net.predict(str(path))
    if isinstance(answer, dict):  # the arrays of a SavedModel
        outputs = {key: value[None] for key, value in answer.items()}
        answer = reader.answers(outputs, net.manifest, reader.open_picture(str(path)))
    found[path.name] = answer
assert "mnasnet_cli" not in sys.modules
Path(out).write_text(json.dumps(found))
