"""What is certain in a COCO file is mended and counted, and gives the same records. --strict refuses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mended_cases import FIRST, Content, boxes, findings, in_annotations, prepare_train, write
from pycocotools import mask

from data_prep.detection import annotations
from mnasnet_cli.errors import DataError

Edit = Callable[[Content], object]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict:
    root = tmp_path_factory.mktemp("expected")
    result = prepare_train(write(root / "source"), root / "out")
    assert findings(result) == {}
    return boxes(root / "out")


def each(key: str, edit: Edit) -> Edit:
    """Return an edit of every entry of a list."""
    return lambda content: [edit(entry) for entry in content[key]]


def corners(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def rle(one: Content, *, compressed: bool) -> Content:
    """Return the mask of a box, in an image of the size of the first one."""
    x, y, width, height = (int(side) for side in one["bbox"])
    column = [y, height, FIRST.height - y - height]
    counts = [x * FIRST.height + column[0], height]
    for _ in range(width - 1):
        counts += [column[2] + column[0], height]
    counts += [FIRST.height * FIRST.width - sum(counts)]
    if compressed:
        packed = mask.frPyObjects({"size": [FIRST.height, FIRST.width], "counts": counts}, FIRST.height, FIRST.width)
        return {"size": [FIRST.height, FIRST.width], "counts": packed["counts"].decode()}
    return {"size": [FIRST.height, FIRST.width], "counts": counts}


def outline(one: Content, segmentation: object) -> None:
    one.update(segmentation=segmentation, bbox=None)


def first_two(edit: Edit) -> Edit:
    return lambda content: [edit(one) for one in content["annotations"][:2]]


MENDED: dict[str, tuple[Edit, dict[str, int]]] = {
    "no ids": (each("annotations", lambda one: one.pop("id")), {"annotation-without-id": 5}),
    "one id for all": (each("annotations", lambda one: one.update(id=0)), {"annotation-id-twice": 4}),
    "ids that are names": (each("annotations", lambda one: one.update(id=f"box {one['id']}")), {}),
    "the same annotations twice": (
        lambda content: content["annotations"].extend(content["annotations"][:2]), {"repeated-annotation": 2},
    ),
    "the same images twice": (lambda content: content["images"].extend(content["images"]), {"repeated-image": 4}),
    "digits": (
        lambda content: [each("images", lambda one: one.update(id=str(one["id"])))(content),
                         each("categories", lambda one: one.update(id=str(one["id"])))(content),
                         each("annotations", lambda one: one.update(
                             id=str(one["id"]), image_id=str(one["image_id"]), category_id=f"{one['category_id']}"
                         ))(content)],
        {"ids-as-text": 4 + 3 + 3 * 5},
    ),
    "floats": (each("annotations", lambda one: one.update(image_id=float(one["image_id"]))), {}),
    "sizes in quotes": (
        each("images", lambda one: one.update(width=str(one["width"]), height=str(one["height"]))),
        {"image-size-as-text": 4},
    ),
    "no sizes": (each("images", lambda one: [one.pop("width"), one.pop("height")]), {"image-size-missing": 4}),
    "sizes of -1": (each("images", lambda one: one.update(width=-1, height=-1)), {"image-size-missing": 4}),
    "sizes of null": (each("images", lambda one: one.update(width=None, height=None)), {"image-size-missing": 4}),
    "boxes in quotes": (
        each("annotations", lambda one: one.update(bbox=[str(side) for side in one["bbox"]])), {"box-as-text": 5},
    ),
    "polygons": (
        each("annotations", lambda one: outline(one, [corners(one["bbox"])])), {"box-from-outline": 5},
    ),
    "two polygons, and a box of zeros": (
        each("annotations", lambda one: one.update(
            segmentation=[corners(one["bbox"])[:4] + corners(one["bbox"])[:2], corners(one["bbox"])[4:]],
            bbox=[0, 0, 0, 0])),
        {"box-from-outline": 5},
    ),
    "a flat polygon, and an empty box": (
        each("annotations", lambda one: one.update(segmentation=corners(one["bbox"]), bbox=[])),
        {"box-from-outline": 5},
    ),
    "masks": (first_two(lambda one: outline(one, rle(one, compressed=False))), {"box-from-outline": 2}),
    "compressed masks": (first_two(lambda one: outline(one, rle(one, compressed=True))), {"box-from-outline": 2}),
    "categories twice": (
        lambda content: content["categories"].extend(content["categories"][:2]), {"repeated-category": 2},
    ),
    "only what is needed": (
        each("annotations", lambda one: [one.pop(key) for key in ("iscrowd", "area", "segmentation")]), {},
    ),
    "null": (each("annotations", lambda one: one.update(iscrowd=None, area=None, segmentation=None)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", MENDED)
def test_mended(expected: dict, tmp_path: Path, name: str) -> None:
    edit, found = MENDED[name]
    source = write(tmp_path / "source", edit)
    result = prepare_train(source, tmp_path / "out")
    assert boxes(tmp_path / "out") == expected
    assert findings(result) == found
    for one in in_annotations(result):
        assert (one["severity"], one["split"]) == ("mended", "train")
        assert one["example"] or one["code"] == "ids-as-text"
    if found:
        with pytest.raises(DataError, match=f"^--strict: train: {next(iter(found.values()))} "):
            prepare_train(source, tmp_path / "strict", strict=True)
        assert not (tmp_path / "strict").exists()


def test_image_ids_that_are_names_are_numbered_in_their_order(expected: dict, tmp_path: Path) -> None:
    names = {1: "d", 2: "c", 3: "b", 4: "a"}

    def rename(content: Content) -> None:
        for one in content["images"]:
            one["id"] = names[one["id"]]
        for one in content["annotations"]:
            one["image_id"] = names[one["image_id"]]

    result = prepare_train(write(tmp_path / "source", rename), tmp_path / "out")
    assert findings(result) == {"named-image-ids": 4}
    assert boxes(tmp_path / "out") == {5 - image_id: rows for image_id, rows in expected.items()}


def test_category_ids_that_are_names(expected: dict, tmp_path: Path) -> None:
    def rename(content: Content) -> None:
        names = {one["id"]: one["name"] for one in content["categories"]}
        for one in content["categories"]:
            one["id"] = one["name"]
        for one in content["annotations"]:
            one["category_id"] = names[one["category_id"]]

    result = prepare_train(write(tmp_path / "source", rename), tmp_path / "out")
    assert findings(result) == {"named-category-ids": 3}
    assert boxes(tmp_path / "out") == expected


@pytest.mark.parametrize(
    "segmentation",
    [
        None, [], [[]], {}, "x", [["a", 1]], {"size": [0, 5], "counts": [1]}, {"size": [5, 5], "counts": [1, -1]},
        {"size": [5, 5], "counts": "@@@"}, {"size": [5, 5], "counts": [99]}, {"size": [5, 5], "counts": None},
        {"size": ["5", 5], "counts": [25]},
    ],
)  # fmt: skip
def test_outlines_that_say_nothing(tmp_path: Path, segmentation: object) -> None:
    source = write(tmp_path / "source", lambda content: outline(content["annotations"][0], segmentation))
    with pytest.raises(DataError, match=r"1: its (bbox' is not|'bbox' is not|box has no area)"):
        prepare_train(source, tmp_path / "out")
    result = prepare_train(source, tmp_path / "out", on_bad_annotation="skip")
    assert result["bad_annotations"][0]["reason"] in (annotations.INVALID_BOX, annotations.NO_BOX_AREA)
    assert result["splits"]["train"]["objects"]["boxes"] == 4


def test_an_image_that_shares_its_file_is_merged(expected: dict, tmp_path: Path) -> None:
    def repeat(content: Content) -> None:
        content["images"].append(content["images"][0] | {"id": 99, "file_name": f"./{FIRST.file_name}"})
        content["annotations"][1]["image_id"] = 99
        content["annotations"].append(content["annotations"][0] | {"id": 100, "image_id": 99})

    result = prepare_train(write(tmp_path / "source", repeat), tmp_path / "out")
    assert findings(result) == {"image-listed-twice": 1}
    assert in_annotations(result)[0]["severity"] == "suspicious"
    assert boxes(tmp_path / "out") == expected


def test_crowds_as_objects(tmp_path: Path) -> None:
    source = write(tmp_path / "source", each("annotations", lambda one: one.update(iscrowd=1)))
    result = prepare_train(source, tmp_path / "out")
    assert findings(result) == {"only-crowds": 5}
    assert "--crowd-as-objects" in in_annotations(result)[0]["advice"]
    assert result["splits"]["train"]["objects"]["crowds"] == 5
    result = prepare_train(source, tmp_path / "other", crowd_as_objects=True)
    assert findings(result) == {}
    assert result["splits"]["train"]["objects"]["crowds"] == 0
