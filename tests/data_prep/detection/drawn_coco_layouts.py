"""The drawn data set in the layouts in which people keep COCO annotation files. Each writer returns SOURCE."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from drawn_layouts import CLASSES, DATA_SET, DataSet, DrawnImage, save, save_images

NUMBERS = {image.stem: number for number, image in enumerate((one for some in DATA_SET.values() for one in some), 1)}
Writer = Callable[[Path, DataSet], Path]


def coco(images: Iterable[DrawnImage], **changes: Any) -> dict[str, Any]:
    """Return the content of a COCO annotation file."""
    images = list(images)
    objects = [(image, one) for image in images for one in image.objects]
    return {
        "info": {"description": "drawn"},
        "images": [
            {"id": NUMBERS[one.stem], "file_name": one.file_name, "width": one.width, "height": one.height}
            for one in images
        ],
        "annotations": [
            {"id": number, "image_id": NUMBERS[image.stem], "category_id": CLASSES.index(one.name) + 1, "iscrowd": 0,
             "bbox": list(one.box), "area": one.box[2] * one.box[3], "segmentation": []}
            for number, (image, one) in enumerate(objects, 1)
        ],
        "categories": [{"id": label, "name": name, "supercategory": ""} for label, name in enumerate(CLASSES, 1)],
    } | changes  # fmt: skip


def zipped(folder: Path) -> Path:
    """Return a zip of a folder's content, and remove the folder."""
    path = Path(shutil.make_archive(str(folder.with_name(f"{folder.name}-zip")), "zip", folder))
    shutil.rmtree(folder)
    return path


SHORT = {"train": "train", "validation": "val", "test": "test"}
ROBOFLOW = {"train": "train", "validation": "valid", "test": "test"}


def coco_2017(root: Path, data_set: DataSet) -> Path:
    for split, some in data_set.items():
        save_images(root / f"{SHORT[split]}2017", some)
        save(root / "annotations" / f"instances_{SHORT[split]}2017.json", coco(some))
        save(
            root / "annotations" / f"captions_{SHORT[split]}2017.json",
            {"images": [], "annotations": [{"caption": "x"}]},
        )
    return root


def coco_2014_zips(root: Path, data_set: DataSet) -> Path:
    for split, some in data_set.items():
        save_images(root / "unpacked" / f"{SHORT[split]}2014", some)
        shutil.make_archive(str(root / f"{SHORT[split]}2014"), "zip", root / "unpacked")
        shutil.rmtree(root / "unpacked")
        save(root / "annotations" / f"instances_{SHORT[split]}2014.json", coco(some))
    shutil.make_archive(str(root / "annotations_trainval2014"), "zip", root, "annotations")
    shutil.rmtree(root / "annotations")
    return root


def roboflow(root: Path, data_set: DataSet) -> Path:
    names = [{"id": 0, "name": "pets", "supercategory": "none"}]
    names += [{"id": label, "name": name, "supercategory": "pets"} for label, name in enumerate(CLASSES, 1)]
    for split, some in data_set.items():
        save_images(root / ROBOFLOW[split], some)
        save(root / ROBOFLOW[split] / "_annotations.coco.json", coco(some, categories=names))
    (root / "README.roboflow.txt").write_text("exported")
    return root


def roboflow_zip(root: Path, data_set: DataSet) -> Path:
    return zipped(roboflow(root, data_set))


def wrapped_zip(root: Path, data_set: DataSet) -> Path:
    roboflow(root / "pets.v3i.coco", data_set)
    return zipped(root)


def image_folders_of_splits(root: Path, data_set: DataSet) -> Path:
    for split, some in data_set.items():
        save_images(root / "images" / SHORT[split], some)
        save(root / "annotations" / f"{SHORT[split]}.json", coco(some))
    return root


def image_folders_one_level_deeper(root: Path, data_set: DataSet) -> Path:
    for split, some in data_set.items():
        save_images(root / "pets" / "images" / SHORT[split].title(), some)
        save(root / "pets" / "annotations" / "coco" / f"instances_{SHORT[split]}.json", coco(some))
    return root


def json_beside_folders(root: Path, data_set: DataSet) -> Path:
    for split, some in data_set.items():
        save_images(root / SHORT[split], some)
        save(root / f"{SHORT[split]}.json", coco(some))
    return root


def one_image_folder(root: Path, data_set: DataSet) -> Path:
    for split, some in data_set.items():
        save_images(root / "images", some)
        save(root / f"{ROBOFLOW[split]}_annotations.json", coco(some))
    return root


def cvat_subsets(root: Path, data_set: DataSet) -> Path:
    names = {"train": "Train", "validation": "Validation", "test": "Test"}
    for split, some in data_set.items():
        save_images(root / "images" / names[split], some)
        save(root / "annotations" / f"instances_{names[split]}.json", coco(some))
    return root


def one_json_for_folders(root: Path, data_set: DataSet) -> Path:
    everything = [one for some in data_set.values() for one in some]
    folders = {one.file_name: SHORT[split] for split, some in data_set.items() for one in some}
    content = coco(everything)
    for image in content["images"]:
        image["file_name"] = f"{folders[image['file_name']]}/{image['file_name']}"
    for split, some in data_set.items():
        save_images(root / "images" / SHORT[split], some)
    save(root / "all.json", content)
    return root


def cvat(root: Path, data_set: DataSet) -> Path:
    save_images(root / "images" / "default", data_set["train"])
    save(root / "annotations" / "instances_default.json", coco(data_set["train"]))
    return root


def cvat_flat(root: Path, data_set: DataSet) -> Path:
    save_images(root / "images", data_set["train"])
    save(root / "annotations" / "instances_default.json", coco(data_set["train"]))
    return zipped(root)


def label_studio(root: Path, data_set: DataSet) -> Path:
    content = coco(data_set["train"])
    for image in content["images"]:
        image["file_name"] = "images\\" + image["file_name"]
    save_images(root / "images", data_set["train"])
    save(root / "result.json", content)
    return root


def json_beside_images(root: Path, data_set: DataSet) -> Path:
    save_images(root, data_set["train"])
    save(root / "my labels.json", coco(data_set["train"]))
    return root


def json_above_images(root: Path, data_set: DataSet) -> Path:
    save_images(root / "data set" / "photos", data_set["train"])
    save(root / "data set" / "export-2024-05-01.json", coco(data_set["train"]))
    save(root / "data set" / "settings.json", {"colour": "red"})
    return root


def roboflow_split(root: Path, data_set: DataSet) -> Path:
    return roboflow(root, {"train": data_set["train"]}) / "train"


SPLIT: tuple[Writer, ...] = (
    coco_2017, coco_2014_zips, roboflow, roboflow_zip, wrapped_zip, image_folders_of_splits,
    image_folders_one_level_deeper, json_beside_folders, one_image_folder, cvat_subsets, one_json_for_folders,
)  # fmt: skip
UNSPLIT: tuple[Writer, ...] = (
    cvat, cvat_flat, label_studio, json_beside_images, json_above_images, roboflow_split,
)  # fmt: skip
