"""What ``check_weights.py`` runs under Python 3.7 and TensorFlow 1.15: the nets of others, with random weights.

Usage: OUT KIND FOLDER. Writes a checkpoint ``OUT/NAME/model.ckpt`` for each net, ``images.npz`` and its outputs
(``outputs.npz``). KIND is "tpu", FOLDER then a checkout of tensorflow/tpu; or "port" or "detector", with one of
rootkitchao/mnasnet_tensorflow.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
tf1.logging.set_verbosity(tf1.logging.ERROR)
SIZES, IMAGES = (224, 192), 8
DETECTOR_SIZE, DETECTOR_IMAGES = 640, 1
AVERAGE = "ExponentialMovingAverage"


def drawn(random: np.random.RandomState, name: str, shape: list[int]) -> np.ndarray:
    """Weights or statistics that are not the initial ones and keep the activations moderate."""
    part = name.split("/")[-1]
    if part in ("gamma", "moving_variance"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    if "kernel" not in part and "weights" not in part:
        return random.normal(-4.6 if "ClassPredictor" in name else 0.0, 0.2, shape).astype(np.float32)
    inputs = np.prod(shape[:2] if "depthwise" in part else shape[:-1])
    return random.normal(0.0, inputs**-0.5, shape).astype(np.float32)


def run(out: Path, build: Callable[[Any], dict[str, Any]], images: dict[str, np.ndarray], average: bool) -> None:
    """Builds a net for each size of images, runs it with one set of weights, and writes both."""
    out.mkdir(parents=True, exist_ok=True)
    weights: dict[str, np.ndarray] = {}
    outputs = {}
    for key, values in images.items():
        with tf.Graph().as_default(), tf1.Session() as session:
            found = build(tf.constant(values))
            random = np.random.RandomState(len(out.name))
            for variable in tf1.global_variables():
                name = variable.op.name
                if name not in weights:
                    weights[name] = drawn(random, name, variable.shape.as_list())
                variable.load(weights[name], session)
            outputs.update({name + "_" + key: value for name, value in session.run(found).items()})
            trainable = sum(int(np.prod(variable.shape)) for variable in tf1.trainable_variables())
    with tf.Graph().as_default(), tf1.Session() as session:
        # As training leaves it: averages beside the last weights, an optimizer's state, and the step.
        stored = {name: value + 1.0 if average else value for name, value in weights.items()}
        stored.update({name + "/" + AVERAGE: value for name, value in weights.items() if average})
        stored.update({name + "/RMSProp": value for name, value in weights.items() if name.endswith("gamma")})
        saved = [tf1.get_variable(name, initializer=value) for name, value in stored.items()]
        saved.append(tf1.get_variable("global_step", initializer=np.int64(12345)))
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver(saved).save(session, str(out / "model.ckpt"), write_meta_graph=False)
    np.savez(str(out / "outputs.npz"), **outputs)
    (out / "about.json").write_text(json.dumps({"trainable": trainable}))
    print(f"{out.name}: {trainable:,} trainable parameters", flush=True)


def tpu_nets(out: Path, folder: Path, images: dict[str, np.ndarray]) -> None:
    for part in ("efficientnet", "mnasnet"):
        sys.path.insert(0, str(folder / "models" / "official" / part))
    models = importlib.import_module("mnasnet_models")
    for name in ("a1", "b1", "small"):

        def build(pixels: Any, name: str = name) -> dict[str, Any]:
            return {"logits": models.build_mnasnet_model(pixels, "mnasnet-" + name, training=False)[0]}

        run(out / name, build, images, average=True)


def import_port(folder: Path) -> Any:
    """The port's ``nets.mnasnet.mnasnet``, where its README says to copy it."""
    spec = importlib.util.spec_from_file_location("nets.mnasnet.mnasnet", str(folder / "mnasnet" / "mnasnet.py"))
    package, module = types.ModuleType("nets.mnasnet"), importlib.util.module_from_spec(spec)
    package.__path__ = []  # type: ignore[attr-defined]
    sys.modules.update({"nets.mnasnet": package, "nets.mnasnet.mnasnet": module})
    spec.loader.exec_module(module)
    package.mnasnet = module  # type: ignore[attr-defined]
    return module


def port_nets(out: Path, folder: Path, images: dict[str, np.ndarray]) -> None:
    module = import_port(folder)
    for name in ("a1", "b1"):

        def build(pixels: Any, name: str = name) -> dict[str, Any]:
            return {"logits": getattr(module, "mnasnet_" + name)(pixels, num_classes=1001, is_training=False)[0]}

        run(out / name, build, images, average=False)


def port_detector(out: Path, folder: Path) -> None:
    """The detector that the Object Detection API builds from the port's files, just as they are."""
    from google.protobuf import text_format
    from object_detection.builders import model_builder
    from object_detection.protos import pipeline_pb2

    import_port(folder)
    sys.path.insert(0, str(folder / "object_detection" / "models"))
    extractors = importlib.import_module("ssd_mnasnet_fpn_feature_extractor")
    model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP["ssd_mnasnet_b1_fpn"] = extractors.SSDMNASNetB1FpnFeatureExtractor
    (path,) = (folder / "object_detection" / "samples" / "configs").glob("*.config")
    pipeline = text_format.Parse(path.read_text(), pipeline_pb2.TrainEvalPipelineConfig())

    def build(pixels: Any) -> dict[str, Any]:
        model = model_builder.build(pipeline.model, is_training=False)
        images, shapes = model.preprocess(pixels)
        predictions = model.predict(images, shapes)
        found = model.postprocess(predictions, shapes)
        return {
            "class_logits": predictions["class_predictions_with_background"],
            "box_deltas": predictions["box_encodings"],
            **{name: found["detection_" + name] for name in ("boxes", "scores", "classes")},
        }

    shape = [DETECTOR_IMAGES, DETECTOR_SIZE, DETECTOR_SIZE, 3]
    images = {str(DETECTOR_SIZE): np.random.RandomState(0).uniform(0, 255, shape).astype(np.float32)}
    np.savez(str(out / "images.npz"), **images)
    run(out / "b1", build, images, average=False)


def main(out: Path, kind: str, folder: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if kind == "detector":
        port_detector(out, folder)
        return
    random = np.random.RandomState(0)
    images = {str(size): random.uniform(-1, 1, [IMAGES, size, size, 3]).astype(np.float32) for size in SIZES}
    np.savez(str(out / "images.npz"), **images)
    {"tpu": tpu_nets, "port": port_nets}[kind](out, folder, images)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
