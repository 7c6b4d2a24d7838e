"""Imports weights of the TPU code, the 2019 port and its detector, and compares what the nets give.

    python tests/tf1/check_weights.py [--tpu DIR] [--port DIR] [--keep DIR]

Makes a TensorFlow 1.15 on first use (``tf1_environment``) and runs the others' own code there (``weights_probe.py``),
with weights and statistics drawn at random. DIR are checkouts of tensorflow/tpu and rootkitchao/mnasnet_tensorflow;
what is not given is left out. Without Python 3.7 it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tf1_environment import ROOT, Tf1, tf1_or_exit

sys.path.insert(0, str(ROOT))

LOGITS, DETECTOR = 5e-5, 1e-4  # of the largest number


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest number."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def load(checkpoint: Path, variant: str, **options: Any) -> Any:
    """Imports a checkpoint and loads the result as every command does."""
    from mnasnet_cli.inference.model import load_model
    from mnasnet_cli.weights.importing import import_weights, write_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        imported = import_weights(str(checkpoint), variant, **options)
        return load_model(write_checkpoint(imported, Path(folder) / "model"))


def check_classifiers(folder: Path, title: str, suffix: str, dropped: int) -> int:
    """Compares logits; `dropped` is the number of their first outputs that stand for no class."""
    import tensorflow as tf

    failed, images = 0, np.load(folder / "images.npz")
    for path in sorted(folder.glob("*/model.ckpt.index")):
        model = load(path.with_suffix(""), path.parent.name + suffix).model
        theirs = np.load(path.parent / "outputs.npz")
        worst = 0.0
        for size in images.files:
            found = model(tf.constant(images[size]), is_training=False).numpy()
            worst = max(worst, difference(found, theirs[f"logits_{size}"][:, dropped:]))
        failed += worst > LOGITS
        print(f"{title} {path.parent.name}: logits differ by {worst:.1e} of the largest (at most {LOGITS})", flush=True)
    return failed


def check_detector(folder: Path) -> int:
    """Compares raw heads and final boxes, of all 90 categories."""
    import tensorflow as tf

    from mnasnet_cli.data.preprocessing import normalize
    from mnasnet_cli.inference.outputs import predict_heads
    from mnasnet_cli.modules.postprocessing import select_boxes

    labels = folder / "labels.txt"
    labels.write_text("".join(f"{number}\tcategory {number}\n" for number in range(1, 91)))
    loaded = load(folder / "b1" / "model.ckpt", "b1-2019", labels_file=labels)
    trainable = json.loads((folder / "b1" / "about.json").read_text())["trainable"]
    theirs, size = np.load(folder / "b1" / "outputs.npz"), loaded.image_size
    pixels = tf.constant(np.load(folder / "images.npz")[str(size)])
    images = normalize(pixels, loaded.preprocessing)
    heads = predict_heads(loaded.model, images)
    found = select_boxes(heads["class_logits"], heads["box_deltas"], size, loaded.postprocessing)
    worst = {
        "class logits": difference(heads["class_logits"].numpy(), theirs[f"class_logits_{size}"][..., 1:]),
        "box encodings": difference(heads["box_deltas"].numpy(), theirs[f"box_deltas_{size}"].reshape(1, -1, 4)),
        "scores": difference(found["detection_scores"].numpy(), theirs[f"scores_{size}"]),
        "boxes": difference(found["detection_boxes"].numpy(), theirs[f"boxes_{size}"]),
        "classes": difference(found["detection_classes"].numpy(), theirs[f"classes_{size}"] + 1),
    }
    print(f"detector of the 2019 project: {trainable:,} trainable parameters, {heads['box_deltas'].shape[1]:,} anchors")
    for what, value in worst.items():
        print(f"  {what} differ by {value:.1e} of the largest (at most {DETECTOR})", flush=True)
    return sum(value > DETECTOR for value in worst.values())


def check(tf1: Tf1, out: Path, tpu: Path | None, port: Path | None) -> int:
    failed = 0
    for kind, source in (("tpu", tpu), ("port", port), ("detector", port)):
        if source is None:
            print(f"skipped: {kind}; name a checkout with --{'tpu' if kind == 'tpu' else 'port'} DIR")
            continue
        if not (out / kind).exists():
            assert tf1.run("weights_probe.py", out / kind, kind, source) == 0
        if kind == "detector":
            failed += check_detector(out / kind)
        else:
            suffix, dropped = ("-2019", 1) if kind == "port" else ("", 0)
            title = "2019 port" if kind == "port" else "TPU code"
            failed += check_classifiers(out / kind, title, suffix, dropped)
    return failed


def main() -> int:
    """Runs the checks; returns the exit code."""
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tpu", type=Path, help="a checkout of tensorflow/tpu")
    parser.add_argument("--port", type=Path, help="a checkout of rootkitchao/mnasnet_tensorflow")
    parser.add_argument("--keep", type=Path, help="folder for what TensorFlow 1.15 writes, to be used again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        failed = check(tf1_or_exit(), arguments.keep or Path(temporary), arguments.tpu, arguments.port)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
