"""What stands in an export, and what other programs see of it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mnasnet_cli.artifacts import exporting, graphs, staging
from mnasnet_cli.artifacts.graphs import MULTIPLY, SEPARATE, build_graph, fold_batch_norms, strip_defaults
from mnasnet_cli.artifacts.loaded import load_model
from mnasnet_cli.artifacts.manifest import FORMATS, MANIFEST_FILE, read_manifest
from mnasnet_cli.artifacts.onnx import write_onnx
from mnasnet_cli.artifacts.parity import TOLERANCES, Tolerance
from mnasnet_cli.artifacts.runner import open_model
from mnasnet_cli.artifacts.samples import Samples, generated_image
from mnasnet_cli.artifacts.silence import silenced
from mnasnet_cli.artifacts.tflite import write_tflite
from mnasnet_cli.commands.import_ import preprocessing_of_export
from mnasnet_cli.errors import DataError, EnvironmentProblem
from mnasnet_cli.nets.detector_spec import HEADS_SCOPE
from mnasnet_cli.training.checkpoints import find_checkpoint

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
    widened = (manifest.kind, form) == ("detector", "slim-checkpoint")  # by the API's slots
    assert [note.startswith("the class predictor has 8 outputs") for note in manifest.notes] == [True] * widened
    for name in manifest.files:
        assert (exported / form / name).is_file(), name
    assert manifest.parity["images"] >= 4
    assert manifest.parity["agreement"] >= TOLERANCES[form].agreement
    assert "4 images of" in manifest.parity["on"]
    if manifest.kind == "detector":
        assert manifest.category_ids == (1, 4, 7)
        assert manifest.postprocessing.inside == (form != "tflite-int8")
        assert manifest.parity["counted"] > 20  # there were boxes to compare
    else:
        assert manifest.names == ("ant", "bee", "cat", "dog")


@pytest.mark.parametrize("name", ["", "model.ckpt"])
def test_a_slim_checkpoint_comes_back_with_its_preprocessing(exported_classifier, name):
    found = preprocessing_of_export(exported_classifier / "slim-checkpoint" / name)
    assert (found["image_size"], found["antialias"], found["crop_fraction"]) == (32, True, 0.875)
    assert preprocessing_of_export(exported_classifier / "frozen" / "model.pb") == {}
    assert preprocessing_of_export(exported_classifier / "elsewhere") == {}


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


@pytest.mark.parametrize("scaling", [MULTIPLY, SEPARATE])
def test_shared_kernels_are_stored_once(made_detector, scaling, monkeypatch):
    monkeypatch.setattr(graphs, "WORTH_SHARING", 0)
    graph = build_graph(load_model(find_checkpoint(str(made_detector))), None, heads=True, scaling=scaling)
    assert not [node.name for node in graph.definition.node if node.op == "FusedBatchNormV3"]
    scaled = [node for node in graph.definition.node if node.name.endswith("/scaled")]
    assert len(scaled) == 10  # two subnets with one layer each, five levels
    assert all("PredictionTower" in node.name and node.op == scaling for node in scaled)
    kernels = [node.name for node in graph.definition.node if node.op == "Const" and "Tower" in node.name]
    assert sum(name.endswith("weights") and "BatchNorm" not in name for name in kernels) == 4  # depthwise and 1×1


def test_converters_leave_large_shared_kernels_shared(made_detector, tmp_path, monkeypatch):
    import onnx
    from ai_edge_litert.interpreter import Interpreter

    monkeypatch.setattr(graphs, "WORTH_SHARING", 0)
    loaded = load_model(find_checkpoint(str(made_detector)))
    interpreter = Interpreter(model_path=str(write_tflite(loaded, tmp_path, None).path))
    shapes = {item["index"]: item["shape"].tolist() for item in interpreter.get_tensor_details()}
    kernels = [shapes[op["inputs"][1]] for op in interpreter._get_ops_details() if op["op_name"] == "DEPTHWISE_CONV_2D"]
    assert sum(shape[1:3] == [1, 1] for shape in kernels) == 10
    graph = onnx.load(str(write_onnx(loaded, tmp_path).path)).graph
    sizes = {item.name: list(item.dims) for item in graph.initializer}
    kernels = [sizes[node.input[1]] for node in graph.node if node.op_type == "Conv"]
    assert sum(shape[1:] == [1, 1, 1] for shape in kernels) == 10


def test_small_shared_kernels_are_copied(made_detector):
    graph = build_graph(load_model(find_checkpoint(str(made_detector))), None, heads=True, scaling=SEPARATE)
    assert {node.op for node in graph.definition.node if node.name.endswith("/scaled")} == {MULTIPLY}


def test_folding_by_hand():
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [1, 1, 1, 2], name="x")
        kernel = tf.constant([[[[1.0], [2.0]]]], name="kernel")  # depthwise [1, 1, 2, 1]
        net = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")
        net, _, _ = tf.compat.v1.nn.fused_batch_norm(
            net, [3.0, 1.0], [0.5, 0.0], mean=[1.0, 0.0], variance=[3.0, 0.0], epsilon=1.0, is_training=False
        )
        tf.identity(net, name="y")
    folded = strip_defaults(fold_batch_norms(graph.as_graph_def()))
    values = {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in folded.node if node.op == "Const"}
    # γ / √(σ² + ε) = 3 / 2 and 1 / 1; β - μ f = 0.5 - 1.5 and 0
    np.testing.assert_allclose(values["kernel"].ravel(), [1.5, 2.0])
    (bias,) = (value for name, value in values.items() if name.endswith("/bias"))
    np.testing.assert_allclose(bias, [-1.0, 0.0])


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


def _export(run, out, *formats, data=None):
    return exporting.export_model(find_checkpoint(str(run)), out, formats, data=data, parity_images=2)


def test_an_artifact_that_is_another_model_is_refused_and_what_was_there_stays(made_classifier, tmp_path, monkeypatch):
    (good,) = _export(made_classifier, tmp_path / "out", "frozen")
    assert good.fault == ""
    before = (tmp_path / "out" / "frozen" / "model.pb").read_bytes()
    monkeypatch.setitem(TOLERANCES, "frozen", Tolerance(logits=-1.0, scores=0.0, iou=1.0, agreement=1.0))
    (bad,) = _export(made_classifier, tmp_path / "out", "frozen")
    assert "is allowed" in bad.fault
    assert (tmp_path / "out" / "frozen" / "model.pb").read_bytes() == before
    (elsewhere,) = _export(made_classifier, tmp_path / "new" / "place", "frozen")
    assert elsewhere.fault
    assert not (tmp_path / "new").exists()


def test_integers_need_real_images(made_detector, tmp_path):
    with pytest.raises(DataError, match=r"--data \(`mnasnet prepare-coco` makes them\)"):
        _export(made_detector, tmp_path / "out", "frozen", "tflite-int8")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_one_line(made_classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="can't be written: not a directory; mend that"):
        _export(made_classifier, tmp_path / "file" / "out", "frozen")


def test_what_is_no_export_stays(made_classifier, tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "tflite").mkdir()  # is empty
    (tmp_path / "onnx" / "mine").write_text("")
    with pytest.raises(DataError, match="is in the way and no export"):
        _export(made_classifier, tmp_path, "tflite", "onnx")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "onnx", "tflite"]


def test_a_full_disk_leaves_nothing(made_classifier, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(EnvironmentProblem, match="no space left on device; make room, or choose another folder"):
        _export(made_classifier, tmp_path / "out", "frozen")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed(tmp_path):
    for name in (".frozen.999999999.tmp", ".frozen.1.tmp"):  # the second is alive
        (tmp_path / name).mkdir()
    with staging.staged_folder(tmp_path / "frozen") as folder:
        (folder / "file").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".frozen.1.tmp", "frozen"]


def test_a_failure_from_tensorflow_is_one_line(tmp_path):
    with pytest.raises(EnvironmentProblem, match="no space left"), staging.staged_folder(tmp_path / "a"):
        raise tf.errors.ResourceExhaustedError(None, None, "part; No space left on device\nmore")
    assert not list(tmp_path.iterdir())


def test_calibration_takes_each_class_alike(made_classifier, shape_records):
    samples = Samples(load_model(find_checkpoint(str(made_classifier))), shape_records)
    images = samples.calibration_images(8)
    assert len(set(images)) == 8
    everything = list(samples._read("train", 96))
    labels = dict(everything)
    assert sorted(labels[image] for image in images) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_generated_images_are_always_the_same():
    assert generated_image(1, 32) == generated_image(1, 32) != generated_image(2, 32)


def test_silence_takes_native_output_and_gives_it_back(capfd):
    import os

    with silenced():
        os.write(1, b"chatter\n")
        os.write(2, b"chatter\n")
    os.write(2, b"heard\n")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "heard\n")
