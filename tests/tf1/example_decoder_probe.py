"""What ``check_example_decoder.py`` runs under Python 3.7 and TensorFlow 1.15, the Object Detection API on its path.

Fails with an AssertionError; prints a line for what held.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from object_detection.core.standard_fields import InputDataFields as Fields
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder

tf1 = tf.compat.v1


def main(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    paths = sorted(str(path) for path in (folder / "records").glob("train-*"))
    examples = tf.data.TFRecordDataset(paths).map(TfExampleDecoder().decode)
    following = tf1.data.make_one_shot_iterator(examples).get_next()
    boxes, empty = 0, 0
    with tf1.Session() as session:
        count = len(expected)
        for _ in range(count):
            found = session.run(following)
            image = expected.pop(found[Fields.source_id].decode())
            raw = (folder / "images" / "train2017" / image["file_name"]).read_bytes()
            assert found[Fields.filename].decode() == image["file_name"]
            assert found[Fields.image].shape == (image["height"], image["width"], 3)
            assert (found[Fields.image] == session.run(tf.io.decode_jpeg(raw, channels=3))).all()
            assert found[Fields.groundtruth_boxes].shape == (len(image["boxes"]), 4)
            wanted = np.reshape(image["boxes"], [-1, 4])
            assert np.allclose(found[Fields.groundtruth_boxes], wanted, rtol=0, atol=1e-7)
            assert found[Fields.groundtruth_classes].tolist() == image["classes"]
            assert found[Fields.groundtruth_is_crowd].tolist() == image["crowds"]
            assert np.allclose(found[Fields.groundtruth_area], image["areas"])
            boxes += len(image["boxes"])
            empty += not image["boxes"]
    assert not expected
    assert empty
    print(f"the Object Detection API's decoder: {count} images, {boxes} boxes, {empty} images without boxes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
