"""The readers of foreign files, each with sound files to damage."""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import inspect
import io
import json
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

TESTS = Path(__file__).parents[1]
for folder in (TESTS, TESTS / "data_prep", TESTS / "data_prep/detection", TESTS / "metrics", TESTS.parent):
    sys.path.insert(0, str(folder))

from data_prep.coco import prepare_coco  # noqa: E402
from data_prep.imagenet import prepare_imagenet  # noqa: E402
from data_prep.images.prepared_image import prepare_image  # noqa: E402
from data_prep.options import CocoOptions, Options  # noqa: E402
from mnasnet_cli.cards.facts import read_facts  # noqa: E402
from mnasnet_cli.cards.markdown import render_card  # noqa: E402
from mnasnet_cli.cards.page import render_page  # noqa: E402
from mnasnet_cli.config.loading import load_config  # noqa: E402
from mnasnet_cli.config.net_table import NetTable, read_net  # noqa: E402
from mnasnet_cli.health.examination import examine_records  # noqa: E402
from mnasnet_cli.inference.manifest import read_manifest  # noqa: E402
from mnasnet_cli.latency.android import read_android_results  # noqa: E402
from mnasnet_cli.metrics.coco_files import read_detections, read_ground_truth  # noqa: E402
from mnasnet_cli.metrics.coco_map import evaluate_detections  # noqa: E402
from mnasnet_cli.nets.spec import NETS  # noqa: E402
from mnasnet_cli.prediction.images import read_images  # noqa: E402
from mnasnet_cli.records.dataset_info import load_dataset_info  # noqa: E402
from mnasnet_cli.records.describe import describe  # noqa: E402
from mnasnet_cli.records.drawing import draw_examples  # noqa: E402
from mnasnet_cli.records.tfrecord import decode_example, frame_record, read_records  # noqa: E402
from mnasnet_cli.weights.archives import unpack  # noqa: E402

drawn_layouts, picture_cases = map(importlib.import_module, ("drawn_layouts", "picture_cases"))  # of other folders

SMALL = Options(train_shards=1, val_shards=1, workers=1, on_bad_image="skip")
SMALL_COCO = CocoOptions(train_shards=1, val_shards=1, workers=1, on_bad_image="skip")


@dataclass(frozen=True)
class Target:
    """A reader. make: writes sound files into a folder. read: reads this folder. files: patterns of those to damage."""

    name: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    files: str = "**/*"


def _images(folder: Path) -> None:
    picture = picture_cases.photograph(40, 30)
    for name, data in picture_cases.files(picture):
        (folder / name).write_bytes(data)
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (0, 90, 200)]
    frames[0].save(folder / "frames.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "frames.webp", save_all=True, append_images=frames[1:])
    for kind in ("BMP", "TIFF", "WEBP", "GIF", "PPM", "TGA", "ICO", "JPEG2000", "AVIF", "PCX", "DDS"):
        picture.save(folder / f"picture.{kind.lower()}", kind)
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg"):
        picture.save(folder / f"{compression}.tif", compression=compression)


def _read_image(folder: Path) -> None:
    [file] = [path for path in folder.iterdir() if path.suffix == ".fuzzed"]
    list(read_images([str(file)]))
    for max_side in (None, 16):
        prepare_image(file.read_bytes(), max_side=max_side)


def _class_folders(folder: Path) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(2):
                image = picture_cases.photograph(12, 10, seed=number)
                image.save(folder / split / name / f"{number}.jpg")
    (folder / "classes.json").write_text(json.dumps({"cat": "a cat", "dog": "a dog"}))


def _packed(pack: Callable[[Path, Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        _class_folders(folder / "whole")
        pack(folder / "whole", folder / "packed")
        shutil.rmtree(folder / "whole")

    return make


def _zip(source: Path, out: Path) -> None:
    out.mkdir()
    with zipfile.ZipFile(out / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(source.rglob("*")):
            archive.write(path, path.relative_to(source))


def _tar(source: Path, out: Path) -> None:
    out.mkdir()
    with tarfile.open(out / "ILSVRC2012_img_train.tar", "w") as outer:
        for folder in sorted((source / "train").iterdir()):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for path in sorted(folder.iterdir()):
                    tar.add(path, path.name)
            info = tarfile.TarInfo(f"{folder.name}.tar")
            info.size = len(inner.getvalue())
            inner.seek(0)
            outer.addfile(info, inner)


def _labels(name: str, text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for number in range(4):
            picture_cases.photograph(12, 10, seed=number).save(folder / f"{number}.jpg")
        (folder / name).write_text(text)

    return make


CSV = "file,label\n0.jpg,cat\n1.jpg,dog\n2.jpg,cat\n3.jpg,dog\n"
JSONL = "".join(f'{{"file_name": "{number}.jpg", "label": "{number % 2}"}}\n' for number in range(4))


def _prepare(folder: Path) -> None:
    source = folder / "packed" / "data.zip"
    source = source if source.exists() else folder / "packed" if (folder / "packed").exists() else folder / "source"
    prepare_imagenet(source, folder / "out", SMALL)


def _in_source(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def inside(folder: Path) -> None:
        (folder / "source").mkdir()
        make(folder / "source")

    return inside


def _coco(folder: Path) -> None:
    from data_prep.shapes import write_shapes_coco

    write_shapes_coco(folder, train=3, val=2, size=48, classes=2)


def _prepare_coco(folder: Path) -> None:
    prepare_coco(folder / "source", folder / "out", SMALL_COCO)


def _imagenet_records(folder: Path) -> None:
    _class_folders(folder / "source")
    prepare_imagenet(folder / "source", folder / "records", dataclasses.replace(SMALL, train_shards=1))
    shutil.rmtree(folder / "source")


def _coco_records(folder: Path) -> None:
    _coco(folder / "source")
    prepare_coco(folder / "source", folder / "records", SMALL_COCO)
    shutil.rmtree(folder / "source")


def _read_records(folder: Path) -> None:
    records = folder / "records"
    load_dataset_info(records)
    describe(records)
    examine_records(records)
    draw_examples(records, 4, folder / "drawn.png")


def _examples(folder: Path) -> None:
    """One file for each example, so that the damage is not found by the checksum of the record."""
    for make in (_imagenet_records, _coco_records):
        make(folder)
        for number, data in enumerate(read_records(folder / "records/train-00000-of-00001")):
            (folder / f"{make.__name__}-{number}.bin").write_bytes(data)
        shutil.rmtree(folder / "records")


def _read_example(folder: Path) -> None:
    [file] = folder.glob("*.fuzzed")
    data = file.read_bytes()
    (folder / "records").mkdir()
    header, footer = frame_record(data)
    (folder / "records/train-00000-of-00001").write_bytes(header + data + footer)
    try:
        decode_example(data)
    except ValueError:
        return
    _read_records(folder)


def _runs(folder: Path) -> None:
    (folder / "run" / "export" / "tflite").mkdir(parents=True)
    (folder / "run/config.yaml").write_text(load_config("quick").to_yaml())
    for name in ("metrics.jsonl", "results.json", "environment.json"):
        shutil.copyfile(TESTS / "fixtures/runs/classifier-finished" / name, folder / "run" / name)
    scores = {"class": 1, "name": "a", "examples": 2, "top1": 0.5, "precision": 0.5, "recall": 0.5, "f1": None}
    picture = {"file": "a.jpg", "jpeg": "AAAA", "true": "a", "predicted": "b", "confidence": 0.5}
    evaluation = {
        "task": "classification", "classes": [scores, {**scores, "name": "b"}], "confusion": [[0, 1, 3], [1, 1, 2]],
        "pictures": {"best": [picture], "worst": [picture]},
        "curves": {"recall": [0.0, 1.0], "precision": {"all classes": [1.0, 0.5]}},
    }  # fmt: skip
    (folder / "run/evaluation.json").write_text(json.dumps(evaluation))
    (folder / "run/time.json").write_text('{"seconds": 12.5, "cpu_seconds": 20.0}')
    latency = {"models": [{"name": "a", "batch_size": 1, "p50_ms": 3.5, "p90_ms": 4.0, "p99_ms": 5, "threads": 1}]}
    (folder / "run/latency.json").write_text(json.dumps(latency))
    export = {"format": "tflite", "labels": ["a"], "files": ["model.tflite"], "step": 3, "parity": {"difference": 0.1}}
    (folder / "run/export/tflite/manifest.json").write_text(json.dumps(export))


def _read_run(folder: Path) -> None:
    facts = read_facts(folder / "run")
    render_page(facts)
    render_card(facts)


def _manifests(folder: Path) -> None:
    for archive in sorted((TESTS / "fixtures" / "exports").rglob("*.tar*")):
        name = f"{archive.parent.name}-{archive.name.partition('.')[0]}"
        shutil.unpack_archive(archive, folder / "packed", filter="data")
        for found in sorted((folder / "packed").rglob("manifest.json"))[:1]:
            (folder / name).mkdir()
            shutil.copyfile(found, folder / name / "manifest.json")
        shutil.rmtree(folder / "packed")


def _read_manifest(folder: Path) -> None:
    [file] = folder.glob("*.fuzzed")
    (folder / "artifact").mkdir()
    shutil.copyfile(file, folder / "artifact" / "manifest.json")
    read_manifest(folder / "artifact" / "model.tflite").to_json()


def _report(folder: Path) -> None:
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 64, "height": 48} for number in (1, 2, 3)]
    boxes = [{"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [1, 2, 20, 30.5], "area": 600} for n in (1, 2)]
    truth = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}
    (folder / "truth.json").write_text(json.dumps(truth))
    found = [{key: box[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.5} for box in boxes]
    (folder / "found.json").write_text(json.dumps(found))


def _read_report(folder: Path) -> None:
    evaluate_detections(read_ground_truth(folder / "truth.json"), read_detections(folder / "found.json"))


def _android(folder: Path) -> None:
    (folder / "phone/results/round-1").mkdir(parents=True)
    log = (
        "STARTING!\nGraph: [models/a.tflite]\nNum threads: [1]\ncount=50 first=1 curr=3000 min=2 max=9 avg=3000 std=1 "
        "median=3100\nInference timings in us: Init: 400, First inference: 5000, Warmup (avg): 4000, Inference (avg): "
        "3000\npeak memory footprint (MB): init=1.5 overall=9.25\n"
    )
    (folder / "phone/results/round-1/a.txt").write_text(log)
    (folder / "phone/results/device.txt").write_text("ro.product.model=Phone\n")
    models = {"threads": 1, "models": {"a": {"name": "a", "image_size": 224, "file_mb": 5.5, "multiply_adds": 1}}}
    (folder / "phone/models.json").write_text(json.dumps(models))


def _weights(folder: Path) -> None:
    import tensorflow  # noqa: F401 - once, in the parent of all cases
    from safetensors.numpy import save_file

    save_file({"conv.weight": np.ones((4, 3), np.float32), "n": np.arange(3)}, folder / "weights.safetensors")


def _read_weights(path: Path) -> None:
    from mnasnet_cli.weights.tensor_files import read_tensors  # imports TensorFlow

    read_tensors(str(path))


def _archives(folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in/model.index").write_bytes(bytes(range(256)) * 4)
    with tarfile.open(folder / "weights.tar", "w") as tar:
        tar.add(folder / "in", "in")
    (folder / "weights.tar.gz").write_bytes(gzip.compress((folder / "weights.tar").read_bytes()))
    shutil.rmtree(folder / "in")


def _nets(folder: Path) -> None:
    for name in ("b1", "mobilenet-v2"):
        (folder / f"{name}.yaml").write_text(NetTable.from_spec(NETS[name], f"my-{name}").to_yaml())


def _recipes(folder: Path) -> None:
    for path in sorted((TESTS.parent / "configs").rglob("*.yaml")):
        shutil.copyfile(path, folder / f"{path.parent.name}-{path.name}")


def _one(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """Let a reader of one file read the damaged one."""

    def read_one(folder: Path) -> object:
        [file] = folder.glob("*.fuzzed")
        plain = file.with_name(file.name.removesuffix(".fuzzed"))
        file.rename(plain)
        return read(plain)

    return read_one


def targets() -> Iterator[Target]:
    """Yield all targets. A target of single files damages one of them, which has the suffix `.fuzzed`."""
    yield Target("image", _images, _read_image, "*")
    yield Target("class-folders", _in_source(_class_folders), _prepare)
    yield Target("zip", _packed(_zip), _prepare, "packed/*")
    yield Target("tar", _packed(_tar), _prepare, "packed/*")
    yield Target("labels.csv", _in_source(_labels("labels.csv", CSV)), _prepare, "source/labels.csv")
    yield Target("metadata.jsonl", _in_source(_labels("metadata.jsonl", JSONL)), _prepare, "source/metadata.jsonl")
    yield Target("coco", _in_source(_coco), _prepare_coco, "**/*.json")
    for name, write in inspect.getmembers(drawn_layouts, inspect.isfunction):
        if name.startswith("write_"):
            yield Target(name.removeprefix("write_"), _in_source(write), _prepare_coco, "source/**/*[!g]")
    yield Target("imagenet-records", _imagenet_records, _read_records, "records/*")
    yield Target("coco-records", _coco_records, _read_records, "records/*")
    yield Target("example", _examples, _read_example, "*.bin")
    yield Target("run", _runs, _read_run, "run/**/*.*")
    yield Target("manifest", _manifests, _read_manifest, "*/manifest.json")
    yield Target("report", _report, _read_report)
    yield Target("android", _android, lambda folder: read_android_results(folder / "phone"))
    yield Target("weight-archive", _archives, _one(unpack), "*")
    yield Target("recipe", _recipes, _one(lambda path: load_config(str(path))), "*.yaml")
    yield Target("net", _nets, _one(read_net), "*.yaml")
    yield Target("safetensors", _weights, _one(_read_weights), "*")


def is_single(target: Target) -> bool:
    """Tell whether a target damages one of many files, and reads only this one."""
    return target.read.__name__ in ("_read_image", "_read_example", "_read_manifest", "read_one")
