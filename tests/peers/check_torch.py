"""Imports weights of torchvision's and timm's nets, compares logits, exports them back and compares every tensor.

    python tests/peers/check_torch.py --peer-python PYTHON [--keep DIR]      # in our Python

PYTHON has torch, torchvision, timm and safetensors; it runs `torch_models.py`. Where it lacks one of them, this says so
and ends with 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.checkpoints.reader import read_checkpoint
from mnasnet_cli.checkpoints.restoring import load_weights, net_config
from mnasnet_cli.export.state_dict import write_state_dict
from mnasnet_cli.modules.classifier import make_classifier
from mnasnet_cli.weights.importing import import_weights, write_checkpoint
from mnasnet_cli.weights.tensor_files import read_tensors

TOLERANCE = 5e-5  # of the largest logit


def compare(folder: Path, name: str, library: str, variant: str, width: float) -> float:
    """The largest difference of the logits at any size, relative to the largest logit."""
    changes = ["model.net.padding=same", "model.net.batch_norm_epsilon=1e-3"] if name.endswith("-same") else []
    imported = import_weights(str(folder / f"{name}.safetensors"), variant, width, assignments=changes)
    with tempfile.TemporaryDirectory() as temporary:
        prefix = write_checkpoint(imported, Path(temporary) / "model")
        contents = read_checkpoint(prefix)
    target = folder / "exported" / name
    target.mkdir(parents=True, exist_ok=True)
    exported = write_state_dict(contents, target, library)
    model = make_classifier(net_config(contents), len(contents.info["labels"]))
    load_weights(model, contents)
    run = tf.function(lambda images: model(images, is_training=False), autograph=False)
    images, theirs = np.load(folder / "images.npz"), np.load(folder / f"{name}.npz")
    check_identical(folder / f"{name}.safetensors", exported.path)
    worst = 0.0
    for key in images.files:
        expected = theirs[key.replace("images", "logits")]
        found = run(tf.constant(images[key])).numpy()
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    return worst


def check_identical(first: Path, second: Path) -> None:
    """Raises AssertionError where two state dicts differ in a name, a type or a bit."""
    (ours, _), (theirs, _) = read_tensors(str(first)), read_tensors(str(second))
    assert set(ours) == set(theirs), set(ours) ^ set(theirs)
    for name, tensor in ours.items():
        assert (tensor.dtype, tensor.tobytes()) == (theirs[name].dtype, theirs[name].tobytes()), name


def check(folder: Path) -> int:
    """Prints a line for each model; returns how many failed."""
    failed = 0
    for name, (library, variant, width) in json.loads((folder / "models.json").read_text()).items():
        difference = compare(folder, name, library, variant, width)
        failed += difference > TOLERANCE
        report = f"{library} {name}: exported as it was imported; logits differ by {difference:.1e} of the largest"
        print(f"{report} (at most {TOLERANCE})", flush=True)
    return failed


def main() -> int:
    """Runs the checks; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer-python", default=sys.executable, help="a Python with torch, torchvision and timm")
    parser.add_argument("--keep", type=Path, help="folder for what that Python writes, to be used again")
    arguments = parser.parse_args()
    probe = [arguments.peer_python, "-c", "import torch, torchvision, timm, safetensors"]
    if subprocess.run(probe, capture_output=True).returncode != 0:
        print(f"skipped: {arguments.peer_python} lacks one of torch, torchvision, timm and safetensors")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        if not (folder / "models.json").exists():
            script = Path(__file__).with_name("torch_models.py")
            subprocess.run([arguments.peer_python, str(script), str(folder)], check=True)
        return 1 if check(folder) else 0


if __name__ == "__main__":
    sys.exit(main())
