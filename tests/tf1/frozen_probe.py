"""What ``check_frozen.py`` runs under Python 3.7 and TensorFlow 1.15, with our checkout on the path.

Fails with an AssertionError; prints a line for what held. Usage: FOLDER, which holds what ``check_frozen.py`` made.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.detector_spec import get_detector
from mnasnet_cli.nets.retinanet import retinanet
from mnasnet_cli.nets.slim_compat import slim
from mnasnet_cli.nets.spec import get_spec

tf1 = tf.compat.v1
tf1.logging.set_verbosity(tf1.logging.ERROR)
BOXES = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


def run_frozen(path: Path, feed: str, value: Any, names: tuple[str, ...]) -> list[Any]:
    """Loads a graph as any TensorFlow 1 program does, and runs it."""
    definition = tf1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf1.Session(graph=graph) as session:
            return session.run([f"{name}:0" for name in names], {f"{feed}:0": value})


def same_boxes(found: list[Any], expected: Any) -> float:
    """Compares the boxes of an image up to swaps of equal scores; returns the largest difference of scores."""
    boxes, scores, classes, counts = found
    assert boxes.dtype == scores.dtype == classes.dtype == counts.dtype == np.float32
    assert counts.tolist() == expected["num_detections"].tolist()
    np.testing.assert_allclose(scores, expected["detection_scores"], atol=1e-5)
    assert set(np.unique(classes)) <= {0.0, 1.0, 4.0, 7.0}
    place = np.abs(boxes - expected["detection_boxes"]).max(axis=-1) < 1e-4
    same = place & (classes == expected["detection_classes"])
    assert same.mean() > 0.98, same.mean()
    return float(np.abs(scores - expected["detection_scores"]).max())


def frozen_graphs_run(classifier: Path, detector: Path) -> None:
    expected = np.load(str(classifier / "expected.npz"))
    path = classifier / "frozen" / "model.pb"
    logits, probabilities = run_frozen(path, "images", expected["images"], ("logits", "probabilities"))
    np.testing.assert_allclose(logits, expected["logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    (again,) = run_frozen(path, "tensors", expected["tensors"], ("logits",))
    np.testing.assert_allclose(again, expected["logits"], rtol=1e-4, atol=1e-4)
    print(f"frozen classifier: logits differ by up to {np.abs(logits - expected['logits']).max():.1e}")
    expected = np.load(str(detector / "expected.npz"))
    found = run_frozen(detector / "frozen" / "model.pb", "image_tensor", expected["images"], BOXES)
    print(f"frozen detector: the same boxes; scores differ by up to {same_boxes(found, expected):.1e}")


def checkpoints_restore(classifier: Path, detector: Path) -> None:
    expected = np.load(str(classifier / "expected.npz"))
    classes = json.loads((classifier / "about.json").read_text())["classes"]
    logits = restored(
        classifier, lambda net: mnasnet.mnasnet_b1(net, num_classes=classes, is_training=False)[0], expected["tensors"]
    )
    np.testing.assert_allclose(logits, expected["logits"], rtol=1e-4, atol=1e-4)
    print(f"slim checkpoint of a classifier: logits differ by up to {np.abs(logits - expected['logits']).max():.1e}")
    expected = np.load(str(detector / "expected.npz"))
    lite = dataclasses.replace(get_detector("lite"), channels=16, depth=1, background_slot=True)
    ids = np.array(json.loads((detector / "slim-checkpoint" / "manifest.json").read_text())["category_ids"])
    slots = restored(
        detector, lambda net: retinanet(net, get_spec("b1"), lite, ids.max())[0].class_logits, expected["tensors"]
    )
    heads = slots[..., ids - 1]  # the slots of the categories; retinanet itself leaves the background out
    np.testing.assert_allclose(heads, expected["class_logits"], rtol=1e-4, atol=1e-4)
    print(f"slim checkpoint of a detector: logits differ by up to {np.abs(heads - expected['class_logits']).max():.1e}")


def restored(folder: Path, build: Any, tensors: Any) -> Any:
    """Builds a drop-in net, lets a Saver restore all of its variables from our checkpoint, and runs it."""
    prefix = tf.train.latest_checkpoint(str(folder / "slim-checkpoint"))
    with tf.Graph().as_default():
        inputs = tf1.placeholder(tf.float32, tensors.shape)
        with slim.arg_scope(mnasnet.training_scope(is_training=False)):
            outputs = build(inputs)
        saver = tf1.train.Saver(tf1.global_variables())
        with tf1.Session() as session:
            saver.restore(session, prefix)
            return session.run(outputs, {inputs: tensors})


if __name__ == "__main__":
    made = Path(sys.argv[1])
    print(f"TensorFlow {tf.__version__}")
    frozen_graphs_run(made / "classifier", made / "detector")
    checkpoints_restore(made / "classifier", made / "detector")
    print("ok")
