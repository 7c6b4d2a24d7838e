"""Writes warm-up requests, which TensorFlow Serving runs when it loads a model, so that the first user doesn't wait.

The file is a TFRecord of `PredictionLog` messages (tensorflow_serving/apis/prediction_log.proto). TensorFlow Serving's
Python package would be a large dependency for four nested messages, so this module encodes them itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from mnasnet_cli.records.tfrecord import encode_record, encode_varint
from mnasnet_cli.system.files import make_folder, write_atomically

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
_LENGTH_DELIMITED = 2  # the wire type of strings and messages


def write_warmup(
    saved_model: Path, signature: str, input_name: str, images: Sequence[bytes], batch_sizes: Sequence[int]
) -> None:
    """Write one request per batch size into a SavedModel's folder. The encoded images are repeated to fill a batch."""
    path = saved_model / WARMUP_FILE
    make_folder(path.parent)
    batches = ([images[index % len(images)] for index in range(size)] for size in batch_sizes)
    records = (encode_record(_prediction_log(signature, input_name, batch)) for batch in batches)
    write_atomically(path, b"".join(records))


def _prediction_log(signature: str, input_name: str, images: Sequence[bytes]) -> bytes:
    tensor = tf.make_tensor_proto(list(images), dtype=tf.string, shape=[len(images)]).SerializeToString()
    model_spec = _field(1, b"default") + _field(3, signature.encode())  # name, signature_name
    entry = _field(1, input_name.encode()) + _field(2, tensor)  # of the map `inputs`: key, value
    request = _field(1, model_spec) + _field(2, entry)  # PredictRequest: model_spec, inputs
    return _field(6, _field(1, request))  # PredictionLog.predict_log.request


def _field(number: int, content: bytes) -> bytes:
    return encode_varint(number << 3 | _LENGTH_DELIMITED) + encode_varint(len(content)) + content
