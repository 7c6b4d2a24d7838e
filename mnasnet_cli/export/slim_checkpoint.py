"""Writes TensorFlow 1 checkpoints under slim's names, for fine-tuning with TF-Slim and the Object Detection API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.artifact import Artifact
from mnasnet_cli.export.graph import TENSORS, tf1_graph
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import classify, detect_boxes
from mnasnet_cli.nets.detector_spec import HEADS_SCOPE
from mnasnet_cli.system.plain_paths import plain_folder, plain_prefix

PREFIX = "model.ckpt"
STEP = "global_step"
# The tensors of the class predictor whose last axis is (anchors × outputs per anchor). The axis of a depthwise kernel
# is not.
_CLASS_PREDICTOR = tuple(f"{HEADS_SCOPE}/ClassPredictor/{part}" for part in ("weights", "pointwise_weights", "biases"))
# Larger category ids are not used as output numbers: most of the file would be empty.
_LARGEST_ID = 1000


def write_slim_checkpoint(loaded: LoadedModel, folder: Path) -> Artifact:
    """Write `model.ckpt.*` with TensorFlow 1's Saver. Averaged weights have the plain names."""
    prefix = folder / PREFIX
    weights = dict(sorted(_api_weights(loaded).items()))
    values = {**weights, STEP: np.int64(loaded.contents.step)}
    with tf.Graph().as_default():
        variables = [tf.compat.v1.get_variable(name, initializer=value) for name, value in values.items()]
        saver = tf.compat.v1.train.Saver(variables, save_relative_paths=True)  # the folder will be renamed
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            with plain_folder(folder) as plain:
                saver.save(session, str(plain / PREFIX), write_meta_graph=False)  # also writes the file `checkpoint`
    signature = {name: {"dtype": "float32", "shape": list(value.shape)} for name, value in weights.items()}
    return Artifact(prefix, {"variables": signature}, notes=_notes(loaded))


def slim_predictor(loaded: LoadedModel, prefix: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return a function that runs the net with the variables of a slim checkpoint, restored by TensorFlow 1's Saver.

    It maps the net's input [N, S, S, 3] to the outputs. `open_model` does this for the other formats.
    """
    size = loaded.image_size
    graph = tf.Graph()
    with tf1_graph(graph):
        stored = {
            name: tf.compat.v1.get_variable(name, value.shape, tf.float32)
            for name, value in _api_weights(loaded).items()
        }
        variables: dict[str, Any] = {**stored, **_select_our_outputs(loaded, stored)}
        tensors = tf.compat.v1.placeholder(tf.float32, [None, size, size, 3], name=TENSORS)
        if loaded.postprocessing is None:
            outputs = classify(loaded.model, tensors, variables)
        else:
            outputs = detect_boxes(loaded.model, tensors, loaded.postprocessing, variables)
        session = tf.compat.v1.Session(graph=graph)
        with plain_prefix(str(prefix)) as plain:
            tf.compat.v1.train.Saver(list(stored.values())).restore(session, plain)

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(session.run(outputs, {tensors: images}))

    return predict


def _ids_are_outputs(loaded: LoadedModel) -> bool:
    """Return whether category ids can be the API's output numbers: from 1 to _LARGEST_ID."""
    ids = loaded.postprocessing.category_ids if loaded.postprocessing else ()
    return bool(ids) and min(ids) >= 1 and max(ids) <= _LARGEST_ID


def _output_positions(loaded: LoadedModel) -> tuple[np.ndarray, int] | None:
    """Return the position of each of our class outputs among the API's outputs, and the number of the API's outputs.

    For each anchor, the API has an output for the background, which nothing reads, and one for every category id up to
    the largest. `mnasnet import` selects the outputs of the data set's ids, and so gets the same bits back.

    Returns:
      None if the outputs stay as they are.
    """
    if loaded.postprocessing is None or not _ids_are_outputs(loaded):
        return None
    assert loaded.config.detection is not None
    if loaded.config.detection.spec.anchor_free:
        return None
    anchors, ids = loaded.config.detection.spec.anchors, np.array(loaded.postprocessing.category_ids)
    outputs = int(ids.max()) + 1
    return (np.arange(anchors)[:, None] * outputs + ids).reshape(-1), anchors * outputs


def _api_weights(loaded: LoadedModel) -> dict[str, np.ndarray]:
    """Return the weights with the API's outputs. Outputs without a class have kernels of 0 and the prior's bias."""
    weights = dict(loaded.contents.weights)
    found = _output_positions(loaded)
    if found is None:
        return weights
    assert loaded.config.detection is not None
    positions, outputs = found
    for name in _class_predictor_names(loaded):
        empty = loaded.config.detection.spec.class_bias if name.endswith("/biases") else 0.0
        widened = np.full((*weights[name].shape[:-1], outputs), empty, weights[name].dtype)
        widened[..., positions] = weights[name]
        weights[name] = widened
    return weights


def _select_our_outputs(loaded: LoadedModel, stored: Mapping[str, tf.Variable]) -> dict[str, tf.Tensor]:
    """Return our outputs of the tensors that `_api_weights` widened."""
    found = _output_positions(loaded)
    if found is None:
        return {}
    positions, _ = found
    return {name: tf.gather(stored[name], positions, axis=-1) for name in _class_predictor_names(loaded)}


def _class_predictor_names(loaded: LoadedModel) -> list[str]:
    return [name for name in _CLASS_PREDICTOR if name in loaded.contents.weights]


def _notes(loaded: LoadedModel) -> tuple[str, ...]:
    if loaded.postprocessing is None:
        return ()
    assert loaded.config.detection is not None
    if loaded.config.detection.spec.anchor_free:
        return (
            "the Object Detection API has no detector without anchors: it reads the backbone only; nets/anchor_free.py "
            "builds the whole net",
        )
    if not _ids_are_outputs(loaded):
        return (
            "the class predictor has our outputs, without a background, because the category ids are not within 1 to "
            f"{_LARGEST_ID}; the Object Detection API initializes its class predictor anew",
        )
    largest = max(loaded.postprocessing.category_ids)
    return (
        f"the class predictor has {largest + 1} outputs for each anchor, as the Object Detection API's with "
        f"num_classes {largest}: output i is category id i; the background (0) and ids without a class have kernels "
        "of 0 and the bias of the prior",
    )
