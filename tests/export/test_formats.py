"""What stands in an export, and what other programs see of it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.commands.import_ import exported_settings
from mnasnet_cli.export.parity import TOLERANCES
from mnasnet_cli.export.sample_images import generated_image
from mnasnet_cli.inference.manifest import FORMATS, MANIFEST_FILE, read_manifest
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.inference.runner import open_model
from mnasnet_cli.nets.detector_spec import HEADS_SCOPE

ARTIFACTS = {
    "saved-model": "saved-model/1",
    "frozen": "frozen/model.pb",
    "tflite": "tflite/model.tflite",
    "tflite-fp16": "tflite-fp16/model.tflite",
    "tflite-int8": "tflite-int8/model.tflite",
    "onnx": "onnx/model.onnx",
    "slim-checkpoint": "slim-checkpoint/model.ckpt",
}


@pytest.fixture(params=["classifier", "detector"])
def exported(request):
    return request.getfixturevalue(f"exported_{request.param}")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_a_manifest_that_tells_what_it_is(exported, form):
    manifest = read_manifest(exported / ARTIFACTS[form])
    assert manifest.format == form
    assert manifest.step == 7
    assert manifest.params > 1000
    assert manifest.multiply_adds > 100_000
    widened = (manifest.task, form) == ("detection", "slim-checkpoint")  # by the API's slots
    assert [note.startswith("the class predictor has 8 outputs") for note in manifest.notes] == [True] * widened
    for name in manifest.files:
        assert (exported / form / name).is_file(), name
    assert manifest.parity["images"] >= 4
    assert manifest.parity["agreement"] >= TOLERANCES[form].agreement
    assert "4 images of" in manifest.parity["on"]
    if manifest.task == "detection":
        assert manifest.category_ids == (1, 4, 7)
        assert manifest.postprocessing.inside == (form != "tflite-int8")
        assert manifest.parity["counted"] > 20  # there were boxes to compare
    else:
        assert manifest.names == ("ant", "bee", "cat", "dog")


@pytest.mark.parametrize("name", ["", "model.ckpt"])
def test_a_slim_checkpoint_comes_back_with_its_preprocessing(exported_classifier, name):
    found, net = exported_settings(exported_classifier / "slim-checkpoint" / name)
    assert net == {}
    assert (found["image_size"], found["antialias"], found["crop_fraction"]) == (32, True, 0.875)
    assert exported_settings(exported_classifier / "frozen" / "model.pb") == ({}, {})
    assert exported_settings(exported_classifier / "elsewhere") == ({}, {})


@pytest.mark.parametrize(
    "manifest",
    [
        b'{"manifest_version": 3}',  # of a browser's extension
        b"[1, 2]",
        b"\xff\xfe",
        b'{"format": ["timm"], "preprocessing": {}}',
        b'{"format": "timm", "preprocessing": {"image_size": 32}}',
        b'{"format": "timm", "preprocessing": null}',
    ],
)
def test_odd_manifests_beside_weights_say_nothing(tmp_path, manifest):
    (tmp_path / MANIFEST_FILE).write_bytes(manifest)
    assert exported_settings(tmp_path / "model.safetensors") == ({}, {})


def test_nothing_else_is_left(exported):
    assert sorted(path.name for path in exported.iterdir()) == sorted(FORMATS)


PLAIN = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
found = model.signatures["serving_default"](image_bytes=tf.constant([open(sys.argv[2], "rb").read()] * 2))
assert not [name for name in sys.modules if name.startswith(("mnasnet", "tf_slim"))]
print(json.dumps({name: values.numpy().tolist() for name, values in found.items()}))
"""


def test_a_saved_model_needs_nothing_but_tensorflow(exported_classifier, made_classifier, tmp_path):
    image = tmp_path / "image.jpg"
    image.write_bytes(generated_image(3, 32))
    command = [sys.executable, "-c", PLAIN, str(exported_classifier / "saved-model" / "1"), str(image)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    runner = open_model(str(made_classifier))
    wanted = runner.predict_tensors(runner.preprocess(image.read_bytes())[np.newaxis])["logits"]
    np.testing.assert_allclose(found["logits"], np.repeat(wanted, 2, axis=0), atol=1e-5)
    assert np.sum(found["probabilities"][0]) == pytest.approx(1.0, abs=1e-6)


def test_signatures_of_a_saved_model_are_the_documented_ones(exported_detector):
    saved = tf.saved_model.load(str(exported_detector / "saved-model" / "1"))
    inputs = {
        name: [(key, spec.dtype, spec.shape.as_list()) for key, spec in signature.structured_input_signature[1].items()]
        for name, signature in saved.signatures.items()
    }
    assert inputs == {
        "serving_default": [("image_bytes", tf.string, [None])],
        "images": [("images", tf.uint8, [None, None, None, 3])],
        "tensors": [("images", tf.float32, [None, 64, 64, 3])],
    }
    found = saved.signatures["images"](images=tf.zeros([2, 50, 90, 3], tf.uint8))
    assert found["detection_boxes"].shape == [2, 100, 4]
    assert set(found["detection_classes"].numpy().ravel()) <= {0, 1, 4, 7}
    assert found["num_detections"].dtype == tf.int32


def test_a_server_can_answer_the_warm_up_requests(exported):
    """Does what TensorFlow Serving does with the folder; requests are read with messages as its .proto files have."""
    log = _prediction_log()
    (version,) = (folder for folder in (exported / "saved-model").iterdir() if folder.is_dir())
    assert int(version.name) == 1
    records = list(tf.data.TFRecordDataset([str(version / "assets.extra" / "tf_serving_warmup_requests")]))
    sizes = []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(session, [tf.saved_model.SERVING], str(version))
        for record in records:
            request = log.FromString(record.numpy()).predict_log.request
            signature = meta.signature_def[request.model_spec.signature_name]
            assert signature.method_name == "tensorflow/serving/predict"
            assert {name: tensor.dtype for name, tensor in request.inputs.items()} == {
                name: tensor.dtype for name, tensor in signature.inputs.items()
            }
            feeds = {signature.inputs[name].name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            found = session.run({name: tensor.name for name, tensor in signature.outputs.items()}, feeds)
            (size,) = {len(values) for values in [*found.values(), *feeds.values()]}  # REST wants rows of all outputs
            sizes.append(size)
    assert sizes == [1, 4]


def _prediction_log():
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="s", syntax="proto3")
    file.dependency.append("tensorflow/core/framework/tensor.proto")

    def message(name, /, **fields):
        made = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            type_name = {"type": 9} if kind == "string" else {"type": 11, "type_name": kind}
            made.field.add(name=field, number=number, label=1, **type_name)
        return made

    message("ModelSpec", name=(1, "string"), signature_name=(3, "string"))
    request = message("PredictRequest", model_spec=(1, ".s.ModelSpec"))
    entry = request.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=1, type=9)
    entry.field.add(name="value", number=2, label=1, type=11, type_name=".tensorflow.TensorProto")
    request.field.add(name="inputs", number=2, label=3, type=11, type_name=".s.PredictRequest.InputsEntry")
    message("PredictLog", request=(1, ".s.PredictRequest"))
    message("PredictionLog", predict_log=(6, ".s.PredictLog"))
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("s.PredictionLog"))


def test_a_frozen_graph_has_folded_its_batch_norms_and_says_only_what_old_releases_know(exported_classifier):
    definition = tf.compat.v1.GraphDef.FromString((exported_classifier / "frozen" / "model.pb").read_bytes())
    kinds = {node.op for node in definition.node}
    assert "BiasAdd" in kinds
    assert not kinds & {"FusedBatchNormV3", "IdentityN", "VarHandleOp", "StatefulPartitionedCall", "If", "While"}
    assert not definition.library.function
    assert not [name for node in definition.node for name in node.attr if name.startswith("_")]
    convolution = next(node for node in definition.node if node.op == "DepthwiseConv2dNative")
    assert "explicit_paddings" not in convolution.attr  # came after 1.15; holds its default
    assert {"images", "tensors", "logits", "probabilities"} <= {node.name for node in definition.node}


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_int8_has_no_floats(request, kind):
    from ai_edge_litert.interpreter import Interpreter

    folder = request.getfixturevalue(f"exported_{kind}") / "tflite-int8"
    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    interpreter.allocate_tensors()
    types = {details["dtype"] for details in interpreter.get_tensor_details()}
    assert np.float32 not in types
    assert np.int8 in types
    signature = json.loads((folder / MANIFEST_FILE).read_text())["signature"]
    outputs = {"logits"} if kind == "classifier" else {"class_logits", "box_deltas"}
    assert set(signature["outputs"]) == outputs
    for tensor in [*signature["inputs"].values(), *signature["outputs"].values()]:
        assert tensor["dtype"] == "int8"
        assert tensor["scale"] > 0


def test_a_slim_checkpoint_holds_the_weights_under_their_names(exported_detector, made_detector):
    loaded = load_model(find_checkpoint(str(made_detector)))
    reader = tf.train.load_checkpoint(str(exported_detector / "slim-checkpoint" / "model.ckpt"))
    names = set(reader.get_variable_to_shape_map())
    assert names == {*loaded.contents.weights, "global_step"}
    assert {name.split("/")[0] for name in names} == {
        "FeatureExtractor",
        "WeightSharedConvolutionalBoxPredictor",
        "global_step",
    }
    ids, anchors = loaded.postprocessing.category_ids, loaded.config.detection.spec.anchors
    prior = np.float32(loaded.config.detection.spec.class_bias)
    for name, value in loaded.contents.weights.items():
        stored = reader.get_tensor(name)
        if stored.shape != value.shape:  # the API's slots: a background, and every id up to the largest
            assert "/ClassPredictor/" in name
            by_slot = stored.reshape(*value.shape[:-1], anchors, max(ids) + 1)
            empty = np.delete(by_slot, ids, axis=-1)
            np.testing.assert_array_equal(empty, prior if name.endswith("/biases") else 0)
            stored = by_slot[..., list(ids)].reshape(value.shape)
        np.testing.assert_array_equal(stored, value)
    assert reader.get_tensor(f"{HEADS_SCOPE}/ClassPredictor/biases").shape == (anchors * (max(ids) + 1),)
    [note] = json.loads((exported_detector / "slim-checkpoint" / MANIFEST_FILE).read_text())["notes"]
    assert f"num_classes {max(ids)}" in note
    assert tf.train.latest_checkpoint(str(exported_detector / "slim-checkpoint")).endswith("model.ckpt")
