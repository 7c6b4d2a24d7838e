"""Runs our frozen graphs, and restores our slim checkpoints into the drop-in nets, under TensorFlow 1.15 on Python 3.7.

    python tests/tf1/check_frozen.py

Exports a b1 classifier and a detector on it that no one trained, says what their checkpoints answer to a few images,
and runs ``frozen_probe.py`` in the environment that ``tf1_environment`` makes. Without Python 3.7 it says so and ends
with 0. ``MNASNET_TF1_PYTHON`` names a Python with TensorFlow 1.15 and tf-slim to be used instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tf1_environment import HERE, NO_PYTHON, ROOT, find_python, tf1_or_exit

sys.path[:0] = [str(ROOT), str(HERE.parent)]
SIZE = 128
PROBE = "frozen_probe.py"


def make(folder: Path) -> None:
    """Writes CLASSIFIER and DETECTOR folders with frozen graph, slim checkpoint, images and answers."""
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()
    from made_models import CATEGORIES, classifier_config, detector_config, make_checkpoint

    make_one(folder / "classifier", make_checkpoint(folder / "a", classifier_config("b1", SIZE), ["x", "y", "z"]))
    labels = list(map(str, CATEGORIES))
    config = detector_config("b1", SIZE, channels=16, depth=1)
    make_one(folder / "detector", make_checkpoint(folder / "b", config, labels))


def make_one(folder: Path, prefix: str) -> None:
    """Exports one model, with what its checkpoint says."""
    import tensorflow as tf

    from mnasnet_cli.data.preprocessing import preprocess_uint8
    from mnasnet_cli.export.exporter import export_model, raise_for_faults
    from mnasnet_cli.inference.checkpoint import CheckpointRunner

    raise_for_faults(export_model(prefix, folder, ["frozen", "slim-checkpoint"], data=None, parity_images=1))
    runner = CheckpointRunner(prefix)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 150, 200, 3), dtype=np.uint8)
    tensors = preprocess_uint8(tf.constant(images), runner.loaded.preprocessing).numpy()
    np.savez(folder / "expected.npz", images=images, tensors=tensors, **runner.predict_tensors(tensors))
    (folder / "about.json").write_text(json.dumps({"classes": len(runner.loaded.labels)}))


def main() -> int:
    """Runs the check; returns the exit code."""
    given = os.environ.get("MNASNET_TF1_PYTHON")
    if not given and find_python() is None:
        print(NO_PYTHON)
        return 0
    with tempfile.TemporaryDirectory(prefix="mnasnet-frozen-") as folder:
        make(Path(folder))
        if not given:
            return tf1_or_exit().run(PROBE, folder)
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run([given, "-W", "ignore", str(HERE / PROBE), folder], env=variables).returncode


if __name__ == "__main__":
    sys.exit(main())
