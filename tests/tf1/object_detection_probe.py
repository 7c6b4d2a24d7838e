"""What ``check_object_detection.py`` first runs under Python 3.7 and TensorFlow 1.15: our detectors, built by the API.

Fails with an AssertionError; prints a line for each thing that held. Usage: FOLDER SIZE, where FOLDER holds
``found.npz`` and ``detector-export/``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from object_detection.builders import model_builder
from object_detection.utils import config_util, variables_helper

from mnasnet_cli.integrations import object_detection
from mnasnet_cli.nets.detector_spec import API_RETINANET, count_anchors
from mnasnet_cli.nets.detector_table import detector_parameters, detector_variable_shapes
from mnasnet_cli.nets.retinanet import retinanet
from mnasnet_cli.nets.spec import NETS

tf1 = tf.compat.v1
tf1.logging.set_verbosity(tf1.logging.ERROR)
CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "object_detection"


def pipeline(net: str) -> dict[str, Any]:
    """Our pipeline config as the API reads it."""
    path = CONFIGS / f"ssd_mnasnet_{net}_fpn_shared_box_predictor_640x640_coco17.config"
    return config_util.get_configs_from_pipeline_file(str(path))


def shrink(configs: dict[str, Any], size: int) -> None:
    resizer = configs["model"].ssd.image_resizer.fixed_shape_resizer
    resizer.height = resizer.width = size


def builds(name: str, net: str) -> None:
    """``model_builder.build`` makes the detector of the config; its variables are those of our own RetinaNet."""
    configs = pipeline(net[:2])
    configs["model"].ssd.feature_extractor.type = name
    with tf.Graph().as_default():
        model = model_builder.build(configs["model"], is_training=True)
        resizer = configs["model"].ssd.image_resizer.fixed_shape_resizer
        assert (resizer.height, resizer.width) == (640, 640)
        images, shapes = model.preprocess(tf1.placeholder(tf.float32, [1, 480, 640, 3]))
        predictions = model.predict(images, shapes)
        anchors = predictions["anchors"].shape.as_list()[0]
        assert anchors == predictions["box_encodings"].shape[1] == count_anchors(API_RETINANET) == 51150
        assert predictions["class_predictions_with_background"].shape.as_list() == [1, 51150, 91]
        built = {variable.op.name: tuple(variable.shape.as_list()) for variable in tf1.global_variables()}
        assert built == detector_variable_shapes(NETS[net], API_RETINANET, 90)
        parameters = sum(int(np.prod(variable.shape)) for variable in tf1.trainable_variables())
        assert parameters == detector_parameters(NETS[net], API_RETINANET, 90)
    print(f"{name}: 640 px, {anchors:,} anchors, 90 classes, {parameters:,} parameters, variables as in our detector")


def equals_ours(size: int) -> None:
    """With the same random weights, the API's detector and ours predict the same."""
    random = np.random.RandomState(0)
    configs = pipeline("b1")
    shrink(configs, size)
    with tf.Graph().as_default():
        model = model_builder.build(configs["model"], is_training=False)
        images, shapes = model.preprocess(tf.constant(random.uniform(0, 255, [1, size, size, 3]), tf.float32))
        theirs = model.predict(images, shapes)
        ours, _ = retinanet(images, NETS["b1-2019"], API_RETINANET, 90, is_training=False, reuse=True)
        values = {variable: drawn(random, variable) for variable in tf1.global_variables()}
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer(), {v.initializer.inputs[1]: x for v, x in values.items()})
            logits, boxes, ours = session.run(
                [theirs["class_predictions_with_background"][..., 1:], theirs["box_encodings"], ours]
            )
    for found, wanted in ((ours.class_logits, logits), (ours.box_deltas, boxes)):
        difference = np.abs(found - wanted).max() / np.abs(wanted).max()
        assert difference <= 1e-6, difference
    print(f"same weights, same logits and box encodings as our detector's at {size} px")


def drawn(random: np.random.RandomState, variable: Any) -> np.ndarray:
    """Random weights that keep the scale of what passes through them."""
    shape = variable.shape.as_list()
    if variable.op.name.endswith(("gamma", "moving_variance")):
        return random.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return random.normal(0, 0.2, shape)
    inputs_of = shape[0] * shape[1] * (1 if "depthwise" in variable.op.name else shape[2])
    return random.normal(0, (2 / inputs_of) ** 0.5, shape)


def continues(folder: Path, size: int) -> None:
    """From a detector's slim-checkpoint the API takes every variable, as its training does, and finds what we found."""
    expected = np.load(str(folder / "found.npz"))
    configs = pipeline("b1")
    shrink(configs, size)
    prefix = str(folder / "detector-export" / "slim-checkpoint" / "model.ckpt")
    with tf.Graph().as_default():
        model = model_builder.build(configs["model"], is_training=False)
        images, shapes = model.preprocess(tf.constant(expected["pixels"]))
        predictions = model.predict(images, shapes)
        found = model.postprocess(predictions, shapes)
        wanted = model.restore_map(fine_tune_checkpoint_type="detection", load_all_detection_checkpoint_vars=True)
        taken = variables_helper.get_variables_available_in_checkpoint(wanted, prefix, include_global_step=False)
        left = {variable.op.name for variable in tf1.global_variables()} - {v.op.name for v in taken.values()}
        assert not left, sorted(left)
        tf1.train.init_from_checkpoint(prefix, taken)
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            heads, found = session.run([predictions, found])
    print(f"load_all_detection_checkpoint_vars: the API takes all {len(taken)} variables of a detector")
    logits = heads["class_predictions_with_background"][..., expected["ids"]]
    for ours, theirs in ((expected["class_logits"], logits), (expected["box_deltas"], heads["box_encodings"])):
        difference = np.abs(ours - theirs).max() / np.abs(ours).max()
        assert difference <= 1e-5, difference
    print("and computes what we do: class logits and box encodings are equal")
    same = sum(_same_boxes(expected, found, place) for place in range(len(expected["pixels"])))
    total = expected["detection_scores"].size
    # As `mnasnet export` asks of its formats: releases differ in last digits, and a box may cross a threshold for them.
    assert same >= 0.99 * total, (same, total)
    print(f"of {total} boxes that we detect, {same} are the API's, too: class, score and corners within 1e-4")


def _same_boxes(expected: Any, found: dict[str, np.ndarray], place: int) -> int:
    """How many of the boxes that we list for an image the API lists as well, at whatever rank."""

    def rows(lists: Any, first_class: int) -> np.ndarray:
        scores, classes = lists["detection_scores"][place], lists["detection_classes"][place] + first_class
        return np.concatenate([lists["detection_boxes"][place], scores[:, None], classes[:, None]], axis=1)

    ours, theirs = rows(expected, 0), rows(found, 1)  # the API counts from 0 after the background
    return int((np.abs(ours[:, None] - theirs).max(-1) <= 1e-4).any(1).sum())


def main(folder: Path, size: int) -> None:
    object_detection.register()
    builds("ssd_mnasnet_b1_fpn", "b1-2019")
    builds("ssd_mnasnet_a1_fpn", "a1-2019")
    builds("ssd_mnasnet_b1_paper_fpn", "b1")
    equals_ours(size)
    continues(folder, size)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
