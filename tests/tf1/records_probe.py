"""What ``check_records.py`` runs under Python 3.7 and TensorFlow 1.15, the Object Detection API and slim on its path.

Fails with an AssertionError; prints a line for what held. Usage: FOLDER COCO IMAGENET, where FOLDER holds our records
and ``truth.json``; writes the records of their own scripts into ``their-coco`` and ``their-imagenet`` there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from datasets import build_imagenet_data, imagenet
from object_detection.core.standard_fields import InputDataFields as Fields
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder

from mnasnet_cli.integrations import nets_factory

tf1 = tf.compat.v1
tf1.logging.set_verbosity(tf1.logging.ERROR)


def records(paths: list[Path], decode: Any) -> Any:
    """Yields the decoded records, with the session that runs them."""
    with tf.Graph().as_default(), tf1.Session() as session:
        examples = tf.data.TFRecordDataset(sorted(map(str, paths))).map(decode)
        following = tf1.data.make_one_shot_iterator(examples).get_next()
        encoded = tf1.placeholder(tf.string, [])
        decoded = tf.io.decode_jpeg(encoded, channels=3)
        while True:
            try:
                found = session.run(following)
            except tf.errors.OutOfRangeError:
                return
            yield found, lambda path: session.run(decoded, {encoded: path.read_bytes()})


def the_api_reads_our_coco(folder: Path, coco: Path, left: dict[str, Any]) -> None:
    count, boxes, empty = len(left), 0, 0
    for found, pixels in records(list((folder / "our-coco").glob("train-*")), TfExampleDecoder().decode):
        image = left.pop(found[Fields.source_id].decode())
        height, width = image["height"], image["width"]
        assert found[Fields.filename].decode() == image["file_name"]
        assert found[Fields.image].shape == (height, width, 3)
        assert (found[Fields.image] == pixels(coco / "train2017" / image["file_name"])).all()
        wanted = np.clip(np.reshape(image["boxes"], [-1, 4]) / [height, width, height, width], 0, 1)  # some overshoot
        assert found[Fields.groundtruth_boxes].shape == wanted.shape
        assert np.allclose(found[Fields.groundtruth_boxes], wanted, rtol=0, atol=1e-6)
        assert found[Fields.groundtruth_classes].tolist() == image["classes"]
        assert found[Fields.groundtruth_is_crowd].tolist() == image["crowds"]
        assert np.allclose(found[Fields.groundtruth_area], image["areas"])
        boxes += len(wanted)
        empty += not len(wanted)
    assert not left
    print(
        f"the API's TfExampleDecoder reads our COCO records: {count} images, {boxes} boxes, {empty} images without any"
    )


def slim_reads_our_imagenet(folder: Path, left: dict[str, Any], words: dict[str, str]) -> None:
    nets_factory.register()  # teaches slim our labels.txt
    data = imagenet.get_split("train", str(folder / "our-imagenet"))
    paths = [Path(path) for path in tf1.gfile.Glob(data.data_sources)]
    synsets = sorted({image["synset"] for image in left.values()})
    wanted_names = {0: "background", **{n: words.get(synset, synset) for n, synset in enumerate(synsets, 1)}}
    assert data.labels_to_names == wanted_names, data.labels_to_names

    def decode(serialized: Any) -> dict[str, Any]:
        items = ["image", "label", "label_text"]
        found = dict(zip(items, data.decoder.decode(serialized, items)))
        name = tf.io.parse_single_example(serialized, {"image/filename": tf.io.FixedLenFeature([], tf.string)})
        return {"name": name["image/filename"], **found}

    count = len(left)
    for found, pixels in records(paths, decode):
        image = left.pop(found["name"].decode())
        assert found["label"] == image["label"]
        assert found["label_text"].decode() == wanted_names[image["label"]]
        assert (found["image"] == pixels(Path(image["path"]))).all()
    assert not left
    print(f"slim's datasets/imagenet.py reads our ImageNet records: {count} images of {len(synsets)} classes")


def write_their_coco(folder: Path, coco: Path) -> None:
    """Runs the API's script as a user would, and renames what it wrote to what our commands look for."""
    out = folder / "their-coco"
    flags = [f"--output_dir={out}"]
    for split, data in (("train", "train2017"), ("val", "val2017"), ("test", "val2017")):
        annotations = coco / "annotations" / f"instances_{data}.json"
        flags += [f"--{split}_image_dir={coco / data}"]
        flags += [f"--{'testdev' if split == 'test' else split}_annotations_file={annotations}"]
    command = [sys.executable, "-W", "ignore", "-m", "object_detection.dataset_tools.create_coco_tf_record", *flags]
    subprocess.run(command, check=True, stderr=subprocess.PIPE)
    for path in list(out.iterdir()):
        name = re.sub(r"^coco_train\.record", "train", path.name)
        path.rename(out / re.sub(r"^coco_val\.record", "validation", name))


class _Files:
    """``tf.gfile`` for a script of Python 2, whose mode "r" gives bytes for images."""

    Glob = staticmethod(tf1.gfile.Glob)

    @staticmethod
    def GFile(name: str, mode: str) -> Any:
        return tf1.gfile.GFile(name, "rb" if name.endswith(".JPEG") else mode)


class _Tf:
    """TensorFlow, but for ``gfile``."""

    gfile = _Files

    def __getattr__(self, name: str) -> Any:
        return getattr(tf1, name)


def write_their_imagenet(folder: Path, source: Path, synsets: list[str], words: dict[str, str]) -> None:
    """Runs slim's script in this process. It is of Python 2: three of its habits are mended, and nothing else."""
    script, out = build_imagenet_data, folder / "their-imagenet"
    to_bytes = script._bytes_feature
    script._bytes_feature = lambda value: to_bytes(value.encode() if isinstance(value, str) else value)
    script.range = lambda *bounds: list(range(*bounds))  # it shuffles one
    script.tf = _Tf()
    out.mkdir()
    (folder / "synsets.txt").write_text("".join(f"{synset}\n" for synset in synsets))
    lines = [f"{synset}\t{words.get(synset, synset)}\n" for synset in synsets]
    (folder / "metadata.txt").write_text("".join(lines))
    (folder / "boxes.csv").write_text("")
    flags = {
        "train_directory": source / "train",
        "validation_directory": source / "val",
        "output_directory": out,
        "train_shards": 2,
        "validation_shards": 1,
        "num_threads": 1,
        "labels_file": folder / "synsets.txt",
        "imagenet_metadata_file": folder / "metadata.txt",
        "bounding_box_file": folder / "boxes.csv",
    }
    tf1.app.flags.FLAGS(["build_imagenet_data", *(f"--{name}={value}" for name, value in flags.items())])
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        script.main([])


def main(folder: Path, coco: Path, source: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    synsets = sorted({image["synset"] for image in truth["imagenet"].values()})
    the_api_reads_our_coco(folder, coco, truth["coco"])
    slim_reads_our_imagenet(folder, truth["imagenet"], truth["words"])
    write_their_coco(folder, coco)
    write_their_imagenet(folder, source, synsets, truth["words"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
