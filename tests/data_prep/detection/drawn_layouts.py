"""One small data set, drawn in each layout in which people keep images with boxes."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw

from data_prep.detection.annotations import read_annotations
from data_prep.detection.layout import Layout

CLASSES = ("apple", "pear tree", "plum")
COLOURS = ("red", "green", "blue")
Box = tuple[float, float, float, float]  # x, y, width, height in px


class DrawnObject(NamedTuple):
    name: str
    box: Box


class DrawnImage(NamedTuple):
    stem: str
    width: int
    height: int
    objects: tuple[DrawnObject, ...]

    @property
    def file_name(self) -> str:
        return f"{self.stem}.png"


DataSet = Mapping[str, tuple[DrawnImage, ...]]
APPLE, PEAR, PLUM = CLASSES
DATA_SET: DataSet = {
    "train": (
        DrawnImage("a 1", 64, 48, (DrawnObject(APPLE, (3, 5, 20, 11)), DrawnObject(PLUM, (30, 10, 34, 38)))),
        DrawnImage("b", 33, 57, (DrawnObject(PEAR, (0, 0, 33, 57)),)),
        DrawnImage("c", 40, 40, ()),
        DrawnImage("d.e", 101, 37, (DrawnObject(APPLE, (50, 1, 7, 29)), DrawnObject(APPLE, (60, 1, 7, 29)))),
    ),
    "validation": (
        DrawnImage("f", 48, 64, (DrawnObject(PLUM, (11, 13, 17, 19)),)),
        DrawnImage("g", 39, 41, (DrawnObject(PEAR, (1, 2, 30, 35)),)),
    ),
    "test": (DrawnImage("h", 50, 30, (DrawnObject(APPLE, (20, 10, 25, 15)),)),),
}
WITHOUT_SPLITS: DataSet = {"train": tuple(image for images in DATA_SET.values() for image in images)}


def draw(image: DrawnImage) -> bytes:
    """Return a PNG. All pictures differ."""
    picture = Image.new("RGB", (image.width, image.height), (200, 190 - image.width, 180 - image.height))
    pen = ImageDraw.Draw(picture)
    for one in image.objects:
        x, y, width, height = one.box
        pen.rectangle((x, y, x + width - 1, y + height - 1), COLOURS[CLASSES.index(one.name)])
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def save_images(folder: Path, images: Iterable[DrawnImage]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        (folder / image.file_name).write_bytes(draw(image))
    return folder


def save(path: Path, content: object) -> None:
    """Write text, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def yolo_lines(image: DrawnImage) -> str:
    lines = []
    for one in image.objects:
        x, y, width, height = one.box
        centre = (x + width / 2) / image.width, (y + height / 2) / image.height
        numbers = (*centre, width / image.width, height / image.height)
        lines.append(f"{CLASSES.index(one.name)} {' '.join(f'{number:.6f}' for number in numbers)}\n")
    return "".join(lines)


SHORT = {"train": "train", "validation": "valid", "test": "test"}


def write_yolo_of_roboflow(root: Path, data_set: DataSet = DATA_SET) -> None:
    for split, images in data_set.items():
        save_images(root / SHORT[split] / "images", images)
        for image in images:
            save(root / SHORT[split] / "labels" / f"{image.stem}.txt", yolo_lines(image).rstrip("\n"))
    save(
        root / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n"
        f"nc: {len(CLASSES)}\nnames: {list(CLASSES)}\n\nroboflow:\n  version: 1\n",
    )


def write_yolo_of_ultralytics(root: Path, data_set: DataSet = DATA_SET) -> None:
    for split, images in data_set.items():
        save_images(root / "images" / split[:5], images)
        for image in images:
            if image.objects:
                save(root / "labels" / split[:5] / f"{image.stem}.txt", yolo_lines(image))
    names = "\n".join(f"  {number}: {name}" for number, name in enumerate(CLASSES))
    folders = "train: images/train\nval: images/valid\ntest: images/test\n"
    save(root / "fruit.yaml", f"path: ../datasets/fruit # root\n{folders}\nnames:\n{names}\n")


def write_yolo_of_darknet(root: Path, data_set: DataSet = DATA_SET) -> None:
    """CVAT's format YOLO 1.1, too."""
    data = f"classes = {len(CLASSES)}\nnames = data/obj.names\nbackup = backup/\n"
    for split, images in data_set.items():
        folder = f"obj_{SHORT[split]}_data"
        save_images(root / folder, images)
        for image in images:
            save(root / folder / f"{image.stem}.txt", yolo_lines(image))
        save(root / f"{SHORT[split]}.txt", "".join(f"data/{folder}/{image.file_name}\n" for image in images))
        data += f"{SHORT[split]} = data/{SHORT[split]}.txt\n"
    save(root / "obj.data", data)
    save(root / "obj.names", "\n".join(CLASSES) + "\n")


def write_yolo_of_labelimg(root: Path, data_set: DataSet = WITHOUT_SPLITS) -> None:
    for images in data_set.values():
        save_images(root, images)
        for image in images:
            save(root / f"{image.stem}.txt", yolo_lines(image))
    save(root / "classes.txt", "\n".join(CLASSES) + "\n")


def write_yolo_of_label_studio(root: Path, data_set: DataSet = WITHOUT_SPLITS) -> None:
    for images in data_set.values():
        save_images(root / "images", images)
        for image in images:
            save(root / "labels" / f"{image.stem}.txt", yolo_lines(image))
    save(root / "classes.txt", "\n".join(CLASSES) + "\n")
    save(root / "notes.json", {"categories": [{"id": id_, "name": name} for id_, name in enumerate(CLASSES)]})


def voc_xml(image: DrawnImage, *, first: int, database: str, folder: str) -> str:
    """Return a Pascal VOC file. first: the number of the first pixel; boxes hold their last pixel if it is 1."""
    objects = ""
    for one in image.objects:
        x, y, width, height = one.box
        edges = {"xmin": x + first, "ymin": y + first, "xmax": x + width, "ymax": y + height}
        box = "".join(f"<{key}>{value:g}</{key}>" for key, value in edges.items())
        objects += f"""
    <object>
        <name>{escape(one.name)}</name>
        <difficult>0</difficult>
        <bndbox>{box}</bndbox>
        <part><name>leaf</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>
    </object>"""
    return f"""<annotation>
    <folder>{folder}</folder>
    <filename>{image.file_name}</filename>
    <source><database>{database}</database></source>
    <size><width>{image.width}</width><height>{image.height}</height><depth>3</depth></size>{objects}
</annotation>
"""


def write_voc(root: Path, data_set: DataSet = DATA_SET) -> None:
    """Write the layout of the VOC challenge: coordinates from 1, with the last pixel in the box."""
    base = root / "VOCdevkit" / "VOC2012"
    for split, images in data_set.items():
        save_images(base / "JPEGImages", images)
        for image in images:
            text = voc_xml(image, first=1, database="The VOC2012 Database", folder="VOC2012")
            save(base / "Annotations" / f"{image.stem}.xml", text)
        names = "".join(f"{image.stem}\n" for image in images)
        save(base / "ImageSets" / "Main" / f"{split[:3] if split == 'validation' else split}.txt", names)
        save(base / "ImageSets" / "Main" / f"plum_{split[:5]}.txt", "".join(f"{image.stem} -1\n" for image in images))


def write_voc_of_roboflow(root: Path, data_set: DataSet = DATA_SET) -> None:
    for split, images in data_set.items():
        save_images(root / SHORT[split], images)
        for image in images:
            text = voc_xml(image, first=0, database="roboflow.ai", folder="")
            save(root / SHORT[split] / f"{image.stem}.xml", text)


def write_voc_of_labelimg(root: Path, data_set: DataSet = WITHOUT_SPLITS) -> None:
    for images in data_set.values():
        save_images(root / "images", images)
        for image in images:
            save(root / "annotations" / f"{image.stem}.xml", voc_xml(image, first=0, database="Unknown", folder="x"))


def _via_regions(image: DrawnImage) -> list[dict[str, Any]]:
    return [
        {
            "shape_attributes": dict(zip(("name", "x", "y", "width", "height"), ("rect", *one.box), strict=True)),
            "region_attributes": {"fruit": one.name, "note": "ripe"},
        }
        for one in image.objects
    ]


def _via_files(images: Iterable[DrawnImage]) -> dict[str, Any]:
    return {
        f"{image.file_name}{len(draw(image))}": {
            "filename": image.file_name,
            "size": len(draw(image)),
            "regions": _via_regions(image),
            "file_attributes": {},
        }
        for image in images
    }


def write_via(root: Path, data_set: DataSet = DATA_SET) -> None:
    for split, images in data_set.items():
        save_images(root / SHORT[split], images)
        save(root / SHORT[split] / "via_region_data.json", _via_files(images))


def write_via_project(root: Path, data_set: DataSet = WITHOUT_SPLITS) -> None:
    for images in data_set.values():
        save_images(root / "images", images)
        fruit = {"type": "dropdown", "options": dict.fromkeys(CLASSES, ""), "default_options": {}}
        attributes = {"region": {"note": {"type": "text"}, "fruit": fruit}, "file": {}}
        project = {"_via_settings": {}, "_via_img_metadata": _via_files(images), "_via_attributes": attributes}
        save(root / "via_project_1Jan2024.json", project)


def write_via_3(root: Path, data_set: DataSet = WITHOUT_SPLITS) -> None:
    files, views, metadata = {}, {}, {}
    for number, image in enumerate((image for images in data_set.values() for image in images), 1):
        save_images(root, [image])
        key = str(number)
        files[key] = {"fid": key, "fname": image.file_name, "type": 2, "loc": 1, "src": image.file_name}
        views[key] = {"fid_list": [key]}
        for place, one in enumerate(image.objects):
            values = {"1": str(CLASSES.index(one.name))}
            metadata[f"{key}_{place}"] = {"vid": key, "flg": 0, "z": [], "xy": [2, *one.box], "av": values}
    options = {str(number): name for number, name in enumerate(CLASSES)}
    attribute = {"aname": "fruit", "anchor_id": "FILE1_Z0_XY1", "type": 4, "desc": "", "options": options}
    project = {"project": {"pid": "x", "vid_list": list(views)}, "config": {}, "attribute": {"1": attribute}}
    save(root / "via_project.json", project | {"file": files, "metadata": metadata, "view": views})


def write_via_csv(root: Path, data_set: DataSet = WITHOUT_SPLITS) -> None:
    def quote(value: object) -> str:
        return '"' + json.dumps(value).replace('"', '""') + '"'

    rows = ["filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"]
    for image in (image for images in data_set.values() for image in images):
        save_images(root, [image])
        regions: list[dict[str, Any]] = _via_regions(image) or [{"shape_attributes": {}, "region_attributes": {}}]
        for number, region in enumerate(regions):
            shape, attributes = quote(region["shape_attributes"]), quote(region["region_attributes"])
            rows.append(f'{image.file_name},9,"{{}}",{len(image.objects)},{number},{shape},{attributes}')
    save(root / "via_export_csv.csv", "\n".join(rows) + "\n")


def write_supervisely(root: Path, data_set: DataSet = DATA_SET) -> None:
    save(root / "meta.json", {"classes": [{"title": name, "shape": "rectangle"} for name in CLASSES], "tags": []})
    for split, images in data_set.items():
        save_images(root / SHORT[split] / "img", images)
        for image in images:
            objects = []
            for one in image.objects:
                x, y, width, height = one.box
                points = {"exterior": [[x, y], [x + width, y + height]], "interior": []}
                objects.append({"classTitle": one.name, "geometryType": "rectangle", "points": points, "tags": []})
            content = {"size": {"height": image.height, "width": image.width}, "tags": [], "objects": objects}
            save(root / SHORT[split] / "ann" / f"{image.file_name}.json", content)


def supervisely_bitmap(width: int, height: int) -> str:
    """Return the data of a bitmap that is set everywhere."""
    out = io.BytesIO()
    Image.new("1", (width, height), 1).save(out, "PNG")
    return base64.b64encode(zlib.compress(out.getvalue())).decode()


def label_studio_task(image: DrawnImage, address: str) -> dict[str, Any]:
    results = []
    for number, one in enumerate(image.objects):
        x, y, width, height = one.box
        value = {
            "x": 100 * x / image.width, "y": 100 * y / image.height, "width": 100 * width / image.width,
            "height": 100 * height / image.height, "rotation": 0, "rectanglelabels": [one.name],
        }  # fmt: skip
        results.append({
            "original_width": image.width, "original_height": image.height, "image_rotation": 0, "value": value,
            "id": f"r{number}", "from_name": "label", "to_name": "image", "type": "rectanglelabels",
        })  # fmt: skip
    annotation = {"id": 7, "was_cancelled": False, "result": results}
    return {"id": 1, "annotations": [annotation], "predictions": [], "data": {"image": address}}


def write_label_studio(root: Path, data_set: DataSet = WITHOUT_SPLITS) -> None:
    tasks = []
    for image in (image for images in data_set.values() for image in images):
        save_images(root / "images", [image])
        tasks.append(label_studio_task(image, f"/data/upload/3/{image.file_name.replace(' ', '%20')}"))
    save(root / "project-3-at-2024-05-01-10-00-abcdef12.json", tasks)


def write_cvat(root: Path, data_set: DataSet = DATA_SET) -> None:
    labels = "".join(f"<label><name>{name}</name><color>#fff</color></label>" for name in CLASSES)
    text = f"<?xml version='1.0' encoding='utf-8'?>\n<annotations>\n  <version>1.1</version>\n  <meta><project>\
<labels>{labels}</labels></project></meta>\n"
    number = 0
    for split, images in data_set.items():
        save_images(root / "images" / split.capitalize(), images)
        for image in images:
            text += f'  <image id="{number}" name="{image.file_name}" subset="{split.capitalize()}"'
            text += f' width="{image.width}" height="{image.height}">\n'
            number += 1
            for one in image.objects:
                x, y, width, height = one.box
                text += f'    <box label="{one.name}" source="manual" occluded="0" xtl="{x:.2f}" ytl="{y:.2f}"'
                text += f' xbr="{x + width:.2f}" ybr="{y + height:.2f}" z_order="0">\n    </box>\n'
            text += "  </image>\n"
    save(root / "annotations.xml", text + "</annotations>\n")


def write_cvat_without_splits(root: Path) -> None:
    write_cvat(root, WITHOUT_SPLITS)


Write = Callable[[Path], None]
WITH_SPLITS: dict[str, Write] = {
    "yolo, Roboflow": write_yolo_of_roboflow,
    "yolo, Ultralytics": write_yolo_of_ultralytics,
    "yolo, Darknet": write_yolo_of_darknet,
    "pascal_voc": write_voc,
    "pascal_voc, Roboflow": write_voc_of_roboflow,
    "via": write_via,
    "supervisely": write_supervisely,
    "cvat_xml": write_cvat,
}
"""Writers of DATA_SET: reader, and the program whose layout it is."""
WITHOUT: dict[str, Write] = {
    "yolo, LabelImg": write_yolo_of_labelimg,
    "yolo, Label Studio": write_yolo_of_label_studio,
    "pascal_voc, LabelImg": write_voc_of_labelimg,
    "via, project": write_via_project,
    "via, CSV": write_via_csv,
    "via, version 3": write_via_3,
    "label_studio": write_label_studio,
}
"""Writers of WITHOUT_SPLITS."""

Content = dict[str, tuple[tuple[int | None, int | None], list[tuple[str, Box]]]]


def content(layout: Layout) -> dict[str, Content]:
    """Return what a layout says: split → name of the image without folders → size, and classes and boxes."""
    found: dict[str, Content] = {}
    for split, images in layout.splits.items():
        file = read_annotations(images.read(), images.name)
        rows: Content = {}
        for place, image_id in enumerate(file.image_ids):
            own = [index for index, one in enumerate(file.annotation_images) if one == image_id]
            objects = [
                (file.categories[file.annotation_categories[i]], tuple(file.boxes[4 * i : 4 * i + 4])) for i in own
            ]
            name = file.image_names[place].rpartition("/")[2].replace("%20", " ")
            rows[name] = ((file.widths[place], file.heights[place]), objects)  # type: ignore[assignment]
        found[split] = rows
    return found
