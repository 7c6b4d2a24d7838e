"""Requests that TensorFlow Serving sends to a model when it loads it, so that the first user doesn't wait.

A TFRecord of `PredictionLog` messages (tensorflow_serving/apis/prediction_log.proto). Serving's own Python package
would be a heavy dependency for four nested messages, so they are written here, field by field.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from mnasnet_cli.records.tfrecord import encode_varint

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
_LENGTH_DELIMITED = 2  # the wire type of strings and messages


def write_warmup(
    saved_model: Path, signature: str, input_name: str, images: Sequence[bytes], batches: Sequence[int]
) -> None:
    """Writes a request for each size of batch, made of encoded images that are repeated as often as it takes."""
    path = saved_model / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in batches:
            batch = [images[index % len(images)] for index in range(size)]
            writer.write(_prediction_log(signature, input_name, batch))


def _prediction_log(signature: str, input_name: str, images: Sequence[bytes]) -> bytes:
    tensor = tf.make_tensor_proto(list(images), dtype=tf.string, shape=[len(images)]).SerializeToString()
    model_spec = _field(1, b"default") + _field(3, signature.encode())  # name, signature_name
    entry = _field(1, input_name.encode()) + _field(2, tensor)  # of the map `inputs`: key, value
    request = _field(1, model_spec) + _field(2, entry)  # PredictRequest: model_spec, inputs
    return _field(6, _field(1, request))  # PredictionLog.predict_log.request


def _field(number: int, content: bytes) -> bytes:
    return encode_varint(number << 3 | _LENGTH_DELIMITED) + encode_varint(len(content)) + content
