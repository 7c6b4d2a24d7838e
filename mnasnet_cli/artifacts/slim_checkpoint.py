"""A TensorFlow 1 checkpoint under slim's names, for TF-Slim and the Object Detection API to start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.artifacts.functions import classify, detect_boxes
from mnasnet_cli.artifacts.graphs import TENSORS, classic_graph
from mnasnet_cli.artifacts.loaded import LoadedModel
from mnasnet_cli.artifacts.written import Written

PREFIX = "model.ckpt"
STEP = "global_step"


def write_slim_checkpoint(loaded: LoadedModel, folder: Path) -> Written:
    """Writes `model.ckpt.*` as a Saver of TensorFlow 1 would; averaged weights stand under the plain names."""
    prefix = folder / PREFIX
    weights = dict(sorted(loaded.contents.weights.items()))
    values = {**weights, STEP: np.int64(loaded.contents.step)}
    with tf.Graph().as_default():
        variables = [tf.compat.v1.get_variable(name, initializer=value) for name, value in values.items()]
        saver = tf.compat.v1.train.Saver(variables, save_relative_paths=True)  # the folder will be renamed
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver.save(session, str(prefix), write_meta_graph=False)  # leaves a `checkpoint` file, too
    listed = {name: {"dtype": "float32", "shape": list(value.shape)} for name, value in weights.items()}
    return Written(prefix, {"variables": listed})


def slim_predictor(loaded: LoadedModel, prefix: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Runs the net in a graph of TensorFlow 1 whose variables a Saver has restored; other formats have runners."""
    size = loaded.image_size
    graph = tf.Graph()
    with classic_graph(graph):
        variables = {
            name: tf.compat.v1.get_variable(name, value.shape, tf.float32)
            for name, value in loaded.contents.weights.items()
        }
        tensors = tf.compat.v1.placeholder(tf.float32, [None, size, size, 3], name=TENSORS)
        if loaded.postprocessing is None:
            found = classify(loaded.model, tensors, variables)
        else:
            found = detect_boxes(loaded.model, tensors, loaded.postprocessing, variables)
        session = tf.compat.v1.Session(graph=graph)
        tf.compat.v1.train.Saver(list(variables.values())).restore(session, str(prefix))

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(session.run(found, {tensors: images}))

    return predict
