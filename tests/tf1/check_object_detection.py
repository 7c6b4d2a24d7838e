"""Builds, trains and scores our detectors in the real Object Detection API, under TensorFlow 1.15 on Python 3.7.

    python tests/tf1/check_object_detection.py [--coco DIR] [--size PX] [--batch N]

Makes what it needs on first use (``tf1_environment``). Writes records with our own writer, a checkpoint of a classifier
for TF-Slim, and runs ``object_detection_probe.py`` on both; then holds the scores that the API's evaluator gave against
`mnasnet report`'s. ``--coco`` takes a folder laid out as COCO; without it, images are generated. Without Python 3.7 it
says so and ends with 0.
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

from data_prep.coco import CocoOptions, prepare_coco
from data_prep.shapes import write_shapes_coco
from mnasnet_cli.quiet import silence_tensorflow

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
    silence_tensorflow()
    tf1 = tf1_or_exit()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = arguments.coco and arguments.coco.resolve()
        if source is None:
            source = folder / "images"
            write_shapes_coco(source, train=8, val=8, size=160)
        prepare_coco(source, folder / "records", CocoOptions(train_shards=1, val_shards=1, workers=1))
        checkpoint = write_checkpoint(folder)
        made = tf1.run_module("mnasnet_cli.integrations.label_map", folder / "records", folder / "label_map.pbtxt")
        failed = made or tf1.run(
            "object_detection_probe.py", folder, checkpoint, str(arguments.size), str(arguments.batch)
        )
        if not failed:
            same_scores(folder, source / "annotations/instances_val2017.json")
    return failed


if __name__ == "__main__":
    sys.exit(main())
