"""Exchanges records with TF-Slim and the Object Detection API, both ways, under TensorFlow 1.15 on Python 3.7.

    python tests/tf1/check_records.py [--coco DIR] [--imagenet DIR]

Their readers read what `mnasnet prepare-coco` and `mnasnet prepare-imagenet` write, and we read what their scripts
write of the same images: boxes, labels and pixels must be equal. The folders are laid out as COCO and ImageNet are
(default: generated images). Makes what it needs on first use (``tf1_environment``) and runs ``records_probe.py`` there.
Without Python 3.7 it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tf1_environment import ROOT, tf1_or_exit

sys.path.insert(0, str(ROOT))

from data_prep.coco import prepare_coco
from data_prep.imagenet import prepare_imagenet
from data_prep.options import CocoOptions, Options
from data_prep.shapes import write_shapes_coco, write_shapes_imagenet
from mnasnet_cli.records import coco_example, dataset_info, imagenet_example, shards
from mnasnet_cli.system.tensorflow_start import prepare_tensorflow


def coco_truth(annotations: Path, *, overshooting: bool = True) -> dict[int, dict[str, Any]]:
    """Image id → its entry of the annotation file, and its boxes (ymin, xmin, ymax, xmax in px) with what they have.

    `overshooting`: boxes that reach beyond the image, too. We cut them, the API's script leaves them out.
    """
    content = json.loads(annotations.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    numbers = {category: number for number, category in enumerate(sorted(names), 1)}
    expected: dict[int, dict[str, Any]] = {
        image["id"]: {**image, "boxes": [], "classes": [], "names": [], "crowds": [], "areas": []}
        for image in content["images"]
    }
    for one in content["annotations"]:
        image = expected[one["image_id"]]
        left, top, wide, high = one["bbox"]
        if not overshooting and (min(left, top) < 0 or left + wide > image["width"] or top + high > image["height"]):
            continue
        image["boxes"].append([top, left, top + high, left + wide])
        image["classes"].append(numbers[one["category_id"]])
        image["names"].append(names[one["category_id"]])
        image["crowds"].append(bool(one["iscrowd"]))
        image["areas"].append(one["area"])
    return expected


def imagenet_truth(source: Path) -> dict[str, dict[str, Any]]:
    """File name → class number, synset and folder of a training image."""
    synsets = sorted(path.name for path in (source / "train").iterdir() if path.is_dir())
    return {
        path.name: {"label": label, "synset": synset, "path": str(path)}
        for label, synset in enumerate(synsets, 1)
        for path in sorted((source / "train" / synset).iterdir())
    }


def words(source: Path) -> dict[str, str]:
    """Synset → the class in words, from synset_words.txt; the synset itself where there is none."""
    path = source / "synset_words.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split(" ", 1) for line in lines)


def reads_their_coco(folder: Path, source: Path) -> None:
    """Our parser on the records of the API's create_coco_tf_record.py, which hold class names, but no numbers."""
    import tensorflow as tf

    info = dataset_info.load_dataset_info(folder, "coco")
    left, boxes = coco_truth(source / "annotations/instances_train2017.json", overshooting=False), 0
    count = len(left)
    for record in tf.data.TFRecordDataset([str(path) for path in shards.find_shards(folder, "train")]):
        found = coco_example.parse_coco_example(record, names=info.texts)
        image = left.pop(int(found["image_id"]))
        assert found["filename"].numpy().decode() == image["file_name"]
        assert (int(found["height"]), int(found["width"])) == (image["height"], image["width"])
        assert found["image_bytes"].numpy() == (source / "train2017" / image["file_name"]).read_bytes()
        wanted = np.reshape(image["boxes"], [-1, 4])
        np.testing.assert_allclose(
            found["boxes_yxyx"], wanted, rtol=0, atol=1e-4 * max(image["height"], image["width"])
        )
        assert [info.texts[number - 1] for number in found["classes"].numpy()] == image["names"]
        assert found["is_crowd"].numpy().tolist() == image["crowds"]
        np.testing.assert_allclose(found["area"], image["areas"], rtol=1e-6)
        boxes += len(wanted)
    assert not left
    print(f"we read create_coco_tf_record.py's records: {count} images, {boxes} boxes, {info.classes} classes by name")


def reads_their_imagenet(folder: Path, source: Path) -> None:
    """Our parser on the records of slim's build_imagenet_data.py."""
    import tensorflow as tf

    info = dataset_info.load_dataset_info(folder, "imagenet")
    left = imagenet_truth(source)
    count = len(left)
    assert info.classes == len({image["label"] for image in left.values()})
    for record in tf.data.TFRecordDataset([str(path) for path in shards.find_shards(folder, "train")]):
        found = imagenet_example.parse_imagenet_example(record)
        image = left.pop(found["filename"].numpy().decode())
        assert int(found["label"]) == image["label"]
        assert found["image_bytes"].numpy() == Path(image["path"]).read_bytes()
    assert not left
    print(f"we read build_imagenet_data.py's records: {count} images of {info.classes} classes")


def main() -> int:
    """Runs the check; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--coco", type=Path, help="a folder laid out as COCO")
    parser.add_argument("--imagenet", type=Path, help="a folder with train/<synset>/*.JPEG and val/<synset>/*.JPEG")
    arguments = parser.parse_args()
    prepare_tensorflow()
    tf1 = tf1_or_exit()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        coco, imagenet = arguments.coco, arguments.imagenet
        if coco is None:
            coco = folder / "coco"
            write_shapes_coco(coco, train=40, val=2, size=96)
        if imagenet is None:
            imagenet = folder / "imagenet"
            write_shapes_imagenet(imagenet, train_per_class=6, val_per_class=1, size=64)
        prepare_coco(coco, folder / "our-coco", CocoOptions(train_shards=2, val_shards=1, workers=1))
        prepare_imagenet(imagenet, folder / "our-imagenet", Options(train_shards=2, val_shards=1, workers=1))
        truth = {
            "coco": coco_truth(coco / "annotations/instances_train2017.json"),
            "imagenet": imagenet_truth(imagenet),
            "words": words(imagenet),
        }
        (folder / "truth.json").write_text(json.dumps(truth))
        failed = tf1.run("records_probe.py", folder, coco, imagenet)
        if not failed:
            reads_their_coco(folder / "their-coco", coco)
            reads_their_imagenet(folder / "their-imagenet", imagenet)
    return failed


if __name__ == "__main__":
    sys.exit(main())
