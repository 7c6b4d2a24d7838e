"""A TensorFlow 1 checkpoint under slim's names, for TF-Slim and the Object Detection API to start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.export.artifact import Written
from mnasnet_cli.export.graph import TENSORS, classic_graph
from mnasnet_cli.inference.model import LoadedModel
from mnasnet_cli.inference.outputs import classify, detect_boxes
from mnasnet_cli.nets.detector_spec import HEADS_SCOPE

PREFIX = "model.ckpt"
STEP = "global_step"
# Of the class predictor, those tensors whose last axis counts anchors times outputs; a depthwise kernel's doesn't.
_BY_SLOT = tuple(f"{HEADS_SCOPE}/ClassPredictor/{part}" for part in ("weights", "pointwise_weights", "biases"))

_LARGEST_ID = 1000


def write_slim_checkpoint(loaded: LoadedModel, folder: Path) -> Written:
    """Writes `model.ckpt.*` as a Saver of TensorFlow 1 would; averaged weights stand under the plain names."""
    prefix = folder / PREFIX
    weights = dict(sorted(_with_slots(loaded).items()))
    values = {**weights, STEP: np.int64(loaded.contents.step)}
    with tf.Graph().as_default():
        variables = [tf.compat.v1.get_variable(name, initializer=value) for name, value in values.items()]
        saver = tf.compat.v1.train.Saver(variables, save_relative_paths=True)  # the folder will be renamed
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver.save(session, str(prefix), write_meta_graph=False)  # leaves a `checkpoint` file, too
    listed = {name: {"dtype": "float32", "shape": list(value.shape)} for name, value in weights.items()}
    return Written(prefix, {"variables": listed}, notes=_notes(loaded))


def slim_predictor(loaded: LoadedModel, prefix: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Runs the net in a graph of TensorFlow 1 whose variables a Saver has restored; other formats have runners."""
    size = loaded.image_size
    graph = tf.Graph()
    with classic_graph(graph):
        stored = {
            name: tf.compat.v1.get_variable(name, value.shape, tf.float32)
            for name, value in _with_slots(loaded).items()
        }
        variables: dict[str, Any] = {**stored, **_without_slots(loaded, stored)}
        tensors = tf.compat.v1.placeholder(tf.float32, [None, size, size, 3], name=TENSORS)
        if loaded.postprocessing is None:
            found = classify(loaded.model, tensors, variables)
        else:
            found = detect_boxes(loaded.model, tensors, loaded.postprocessing, variables)
        session = tf.compat.v1.Session(graph=graph)
        tf.compat.v1.train.Saver(list(stored.values())).restore(session, str(prefix))

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(session.run(found, {tensors: images}))

    return predict


def _columns(loaded: LoadedModel) -> tuple[np.ndarray, int] | None:
    """(place of each of our class outputs among the API's, how many those are); None where they stay as they are.

    The API gives every anchor the background, which no one reads, and one slot for each category id up to the largest,
    used or not. `mnasnet import` takes the slots of the data set's ids, so the way back gives the same bits.
    """
    if loaded.postprocessing is None or not _ids_are_slots(loaded):
        return None
    assert loaded.config.detection is not None
    anchors, ids = loaded.config.detection.spec.anchors, np.array(loaded.postprocessing.category_ids)
    slots = int(ids.max()) + 1
    return (np.arange(anchors)[:, None] * slots + ids).reshape(-1), anchors * slots


def _ids_are_slots(loaded: LoadedModel) -> bool:
    """Whether the category ids can be the API's: from 1 on, and not so large that most of the file would be empty."""
    ids = loaded.postprocessing.category_ids if loaded.postprocessing else ()
    return bool(ids) and min(ids) >= 1 and max(ids) <= _LARGEST_ID


def _with_slots(loaded: LoadedModel) -> dict[str, np.ndarray]:
    """The weights as the API has them: a slot without a class has a kernel of 0 and the bias of the prior."""
    weights = dict(loaded.contents.weights)
    columns = _columns(loaded)
    if columns is None:
        return weights
    assert loaded.config.detection is not None
    places, outputs = columns
    for name in _names_by_slot(loaded):
        empty = loaded.config.detection.spec.class_bias if name.endswith("/biases") else 0.0
        spread = np.full((*weights[name].shape[:-1], outputs), empty, weights[name].dtype)
        spread[..., places] = weights[name]
        weights[name] = spread
    return weights


def _without_slots(loaded: LoadedModel, stored: Mapping[str, tf.Variable]) -> dict[str, tf.Tensor]:
    """Of the tensors that `_with_slots` widened, the columns that our net has."""
    columns = _columns(loaded)
    if columns is None:
        return {}
    return {name: tf.gather(stored[name], columns[0], axis=-1) for name in _names_by_slot(loaded)}


def _names_by_slot(loaded: LoadedModel) -> list[str]:
    return [name for name in _BY_SLOT if name in loaded.contents.weights]


def _notes(loaded: LoadedModel) -> tuple[str, ...]:
    if loaded.postprocessing is None:
        return ()
    if not _ids_are_slots(loaded):
        return (
            f"the class predictor has our outputs, without a background: category ids are not within 1 to "
            f"{_LARGEST_ID}, and the Object Detection API begins its class predictor anew",
        )
    largest = max(loaded.postprocessing.category_ids)
    return (
        f"the class predictor has {largest + 1} outputs for each anchor, as the Object Detection API's with "
        f"num_classes {largest}: output i is category id i; the background (0) and ids without a class have kernels "
        "of 0 and the bias of the prior",
    )
