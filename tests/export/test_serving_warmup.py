"""Warm-up requests, read with messages that are defined as in TensorFlow Serving's .proto files."""

from __future__ import annotations

import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mnasnet_cli.export.serving_warmup import WARMUP_FILE, write_warmup


@pytest.fixture(scope="module")
def prediction_log():
    """The class of the message tensorflow.serving.PredictionLog, as far as requests need it."""
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="s", syntax="proto3")
    file.dependency.append("tensorflow/core/framework/tensor.proto")

    def message(name, /, **fields):
        added = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            type_name = {"type": 9} if kind == "string" else {"type": 11, "type_name": kind}
            added.field.add(name=field, number=number, label=1, **type_name)
        return added

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


def _requests(saved_model, prediction_log):
    records = tf.data.TFRecordDataset([str(saved_model / WARMUP_FILE)])
    return [prediction_log.FromString(record.numpy()).predict_log.request for record in records]


def test_requests_repeat_the_images_to_fill_a_batch(tmp_path, prediction_log):
    images = [b"first" * 100, b"\x00\xff"]  # the first is longer than a length of one byte can say
    write_warmup(tmp_path, "serve", "image_bytes", images, [1, 3])
    first, second = _requests(tmp_path, prediction_log)
    assert (first.model_spec.name, first.model_spec.signature_name) == ("default", "serve")
    assert list(first.inputs) == ["image_bytes"]
    assert tf.make_ndarray(first.inputs["image_bytes"]).tolist() == images[:1]
    assert tf.make_ndarray(second.inputs["image_bytes"]).tolist() == [images[0], images[1], images[0]]


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_an_exported_model_can_answer_its_warm_up_requests(request, kind, prediction_log):
    """Does with the folder what TensorFlow Serving does."""
    folder = request.getfixturevalue(f"exported_{kind}") / "saved-model"
    (version,) = (path for path in folder.iterdir() if path.is_dir())
    assert int(version.name) == 1
    requests = _requests(version, prediction_log)
    sizes = []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(session, [tf.saved_model.SERVING], str(version))
        for one in requests:
            signature = meta.signature_def[one.model_spec.signature_name]
            assert signature.method_name == "tensorflow/serving/predict"
            assert {name: tensor.dtype for name, tensor in one.inputs.items()} == {
                name: tensor.dtype for name, tensor in signature.inputs.items()
            }
            feeds = {signature.inputs[name].name: tf.make_ndarray(tensor) for name, tensor in one.inputs.items()}
            outputs = session.run({name: tensor.name for name, tensor in signature.outputs.items()}, feeds)
            (size,) = {len(values) for values in [*outputs.values(), *feeds.values()]}  # REST needs equal lengths
            sizes.append(size)
    assert sizes == [1, 4]
