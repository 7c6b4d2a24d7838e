"""Metadata in TFLite files: the net stays as it was, and the metadata and the labels are where MediaPipe looks."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import Model

from mnasnet_cli.export.tflite.metadata import AXIS_LABELS, OutputTensor, add_metadata, task_metadata

FILES = {"labels.txt": ["n1", "n2"], "names.txt": ["a  cat\n", "Hündin"]}


@pytest.fixture(scope="module")
def content():
    kernel = tf.constant(np.random.default_rng(0).normal(size=[3, 3, 3, 8]).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([1, 16, 16, 3], tf.float32)])
    def net(images):
        return tf.nn.conv2d(images, kernel, 2, "SAME")

    return tf.lite.TFLiteConverter.from_concrete_functions([net.get_concrete_function()]).convert()


def _metadata():
    return task_metadata("ImageClassifier", 127.5, 50.0, [OutputTensor("score", labels=AXIS_LABELS)], list(FILES))


def test_no_byte_of_the_net_changes(content):
    found = add_metadata(content, _metadata(), FILES)
    start = found.index(content)
    assert start % 16 == 0  # buffers stay aligned
    assert found[4:8] == b"TFL3"
    assert found == add_metadata(content, _metadata(), FILES)


def test_litert_computes_the_same(content):
    image = np.random.default_rng(1).normal(size=[1, 16, 16, 3]).astype(np.float32)
    outputs = []
    for model in (content, add_metadata(content, _metadata(), FILES)):
        interpreter = Interpreter(model_content=model)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*outputs)


def test_the_model_keeps_all_fields_and_gets_one_more_buffer(content):
    old, new = (Model.GetRootAs(data) for data in (content, add_metadata(content, _metadata(), FILES)))
    assert new.Version() == old.Version()
    assert new.Description() == old.Description()
    assert new.OperatorCodesLength() == old.OperatorCodesLength()
    assert new.SignatureDefsLength() == old.SignatureDefsLength()
    assert new.BuffersLength() == old.BuffersLength() + 1
    names = [new.Metadata(index).Name() for index in range(new.MetadataLength())]
    assert names == [*(old.Metadata(index).Name() for index in range(old.MetadataLength())), b"TFLITE_METADATA"]
    added = new.Metadata(new.MetadataLength() - 1).Buffer()
    assert added == old.BuffersLength()
    for index in range(old.BuffersLength()):
        assert new.Buffers(index).DataLength() == old.Buffers(index).DataLength()
    assert new.Buffers(added).DataAsNumpy().tobytes() == _metadata()


def test_the_labels_are_in_a_zip_one_a_line(content):
    with zipfile.ZipFile(io.BytesIO(add_metadata(content, _metadata(), FILES))) as archive:
        assert archive.read("labels.txt") == b"n1\nn2\n"
        assert archive.read("names.txt").decode() == "a cat\nHündin\n"
        assert {item.compress_type for item in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_metadata_name_the_task_the_normalization_and_the_files():
    metadata = _metadata()
    assert metadata[4:8] == b"M001"
    for text in (b"ImageClassifier", b"score", b"labels.txt", b"names.txt", b"en\0"):
        assert text in metadata
    for number in (127.5, 50.0, (255 - 127.5) / 50.0, -127.5 / 50.0):
        assert np.float32(number).tobytes() in metadata
