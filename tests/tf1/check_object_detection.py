"""Builds, trains and scores our detectors in the real Object Detection API, under TensorFlow 1.15 on Python 3.7.

    python tests/tf1/check_object_detection.py [--coco DIR] [--size PX] [--batch N]

Makes what it needs on first use (``tf1_environment``). Writes records with our own writer, checkpoints of a classifier
and a detector for TF-Slim, and runs ``object_detection_probe.py`` and ``object_detection_training_probe.py`` on them;
then holds the scores that the API's evaluator gave against `mnasnet report`'s. ``--coco`` takes a folder laid out as
COCO; without it, images are generated. Without Python 3.7 it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tf1_environment import ROOT, tf1_or_exit

sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

from data_prep.coco import prepare_coco
from data_prep.options import CocoOptions
from data_prep.shapes import write_shapes_coco
from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

# The API's names of the numbers that `mnasnet report --json` gives under ours.
SCORES = {
    "AP": "Precision/mAP",
    "AP50": "Precision/mAP@.50IOU",
    "AP75": "Precision/mAP@.75IOU",
    "AP_small": "Precision/mAP (small)",
    "AP_medium": "Precision/mAP (medium)",
    "AP_large": "Precision/mAP (large)",
    "AR1": "Recall/AR@1",
    "AR10": "Recall/AR@10",
    "AR100": "Recall/AR@100",
    "AR_small": "Recall/AR@100 (small)",
    "AR_medium": "Recall/AR@100 (medium)",
    "AR_large": "Recall/AR@100 (large)",
}


def write_checkpoint(folder: Path) -> Path:
    """Makes a classifier (b1-2019, 10 classes, drawn at random) and exports it for TF-Slim; returns the prefix."""
    from made_models import classifier_config, make_checkpoint

    make_checkpoint(folder / "run", classifier_config("b1-2019", 64), [f"n{number}" for number in range(10)])
    command = ["export", folder / "run", "--format", "slim-checkpoint", "--out", folder, "--parity-images", "1"]
    _mnasnet(*command)
    return folder / "slim-checkpoint" / "model.ckpt"


def write_detector(folder: Path, source: Path, size: int) -> None:
    """Exports a detector (b1-2019, COCO's 80 classes, drawn at random), with what it finds on a few real images."""
    import numpy as np
    import tensorflow as tf
    from made_models import detector_config, make_checkpoint

    from mnasnet_cli.checkpoints.reader import read_checkpoint
    from mnasnet_cli.inference.checkpoint import CheckpointRunner
    from mnasnet_cli.weights.class_lists import COCO, builtin_classes
    from mnasnet_cli.weights.formats import FORMATS
    from mnasnet_cli.weights.importing import ImportedWeights
    from mnasnet_cli.weights.importing import write_checkpoint as write_imported

    config = detector_config("b1-2019", size, family="retinanet", channels=256, depth=4)
    data = config.data.model_copy(update={"mean": (127.5,) * 3, "deviation": (127.5,) * 3})  # the API's own
    config = config.model_copy(update={"data": data})
    contents = read_checkpoint(make_checkpoint(folder / "drawn", config, builtin_classes(COCO)[0]))
    # 256 channels add up: without this nearly all scores would be 1.0, and the order of the boxes up to chance.
    small = {name: value * 0.05 for name, value in contents.weights.items() if name.endswith("Predictor/weights")}
    (weight_format,) = (one for one in FORMATS if one.name == "object-detection")
    imported = ImportedWeights(weight_format, config, contents.info, {**contents.weights, **small})
    prefix = write_imported(imported, folder / "detector")
    out = folder / "detector-export"
    _mnasnet("export", prefix, "--format", "slim-checkpoint", "--out", out, "--parity-images", "1")
    files = sorted((source / "val2017").iterdir())[:4]
    images = [tf.io.decode_jpeg(file.read_bytes(), channels=3) for file in files]
    pixels = np.stack([tf.image.resize(image, [size, size]).numpy() for image in images])
    runner, tensors = CheckpointRunner(prefix), np.float32(pixels / 127.5 - 1)
    ids = list(map(int, contents.info["labels"]))
    np.savez(folder / "found.npz", pixels=pixels, ids=ids, **runner.predict_tensors(tensors))
    names = ("--variant", "b1-2019", "--image-size", size)
    _mnasnet("import", out / "slim-checkpoint" / "model.ckpt", folder / "detector-again", *names)
    same_weights(prefix, str(folder / "detector-again" / "checkpoints" / "ckpt-0"))


def same_weights(one: str, other: str) -> None:
    """Holds that two of our checkpoints have the same weights, bit for bit."""
    import numpy as np

    from mnasnet_cli.checkpoints.reader import read_checkpoint

    ours, again = read_checkpoint(one).weights, read_checkpoint(other).weights
    assert ours.keys() == again.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(again[name], value, name)
    print(f"a detector's slim-checkpoint, imported again: all {len(ours)} tensors as they were, bit for bit")


def _mnasnet(*arguments: object) -> str:
    """Runs a command; returns what it wrote to standard output."""
    command = [sys.executable, "-m", "mnasnet_cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def same_scores(folder: Path, annotations: Path) -> None:
    """Holds the API's scores against those of `mnasnet report` for the same detections."""
    ours = json.loads(_mnasnet("report", folder / "detections.json", annotations, "--json"))
    theirs = json.loads((folder / "scores.json").read_text())
    for name, other in SCORES.items():
        wanted = theirs[f"DetectionBoxes_{other}"]
        found = -1.0 if ours[name] is None else ours[name]
        assert abs(found - wanted) < 1e-6, f"{name}: {found}, the API says {wanted}"
    shown = f"AP {ours['AP']:.4f}, AR100 {ours['AR100']:.4f}"
    print(f"the API's evaluator and `mnasnet report` agree on all 12 numbers: {shown}")


def main() -> int:
    """Runs the check; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--coco", type=Path, help="a folder laid out as COCO (default: generated images)")
    parser.add_argument("--size", type=int, default=128, help="height and width that the detector trains at, in px")
    parser.add_argument("--batch", type=int, default=4, help="images of the batch that it trains on")
    arguments = parser.parse_args()
    prepare_tensorflow()
    tf1 = tf1_or_exit()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = arguments.coco and arguments.coco.resolve()
        if source is None:
            source = folder / "images"
            write_shapes_coco(source, train=8, val=8, size=160)
        prepare_coco(source, folder / "records", CocoOptions(train_shards=1, val_shards=1, workers=1))
        checkpoint = write_checkpoint(folder)
        write_detector(folder, source, arguments.size)
        made = tf1.run_module("mnasnet_cli.integrations.label_map", folder / "records", folder / "label_map.pbtxt")
        size, batch = str(arguments.size), str(arguments.batch)
        failed = (
            made
            or tf1.run("object_detection_probe.py", folder, size)
            or tf1.run("object_detection_training_probe.py", folder, checkpoint, size, batch)
        )
        if not failed:
            same_scores(folder, source / "annotations/instances_val2017.json")
    return failed


if __name__ == "__main__":
    sys.exit(main())
