"""F1 per image, correct detections, and the figures of the best and worst images."""

from __future__ import annotations

from pathlib import Path

import pytest
from detection_cases import noisy_case
from PIL import Image

from mnasnet_cli.errors import DataError
from mnasnet_cli.metrics.coco_files import parse_detections, parse_ground_truth
from mnasnet_cli.metrics.detection_images import (
    best_and_worst,
    check_image_folder,
    draw_best_and_worst,
    image_file,
    in_frame_of,
    score_images,
)


def test_images_are_scored_at_the_threshold_with_the_best_f1() -> None:
    box, far = [10, 10, 20, 20], [100, 100, 20, 20]
    truth = {
        "images": [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": box},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": box},
            {"id": 3, "image_id": 2, "category_id": 1, "bbox": far},
            {"id": 4, "image_id": 3, "category_id": 1, "bbox": box},
            {"id": 5, "image_id": 3, "category_id": 1, "bbox": [90, 90, 200, 200], "iscrowd": 1},
        ],
    }
    rows = [
        (1, box, 0.9),  # correct
        (2, box, 0.8),  # correct
        (2, box, 0.7),  # a second detection of one annotation: wrong
        (3, far, 0.95),  # inside the crowd: does not count
        (4, far, 0.6),  # image without annotations: wrong
        (3, far, 0.1),
    ]
    found = [{"image_id": image, "category_id": 1, "bbox": place, "score": score} for image, place, score in rows]
    threshold, scores = score_images(parse_ground_truth(truth, ""), parse_detections(found, ""))
    # F1 after each detection that counts, with 4 annotations: 2·1/(1+4), 2·2/(2+4), 2·2/(3+4), …: best at 0.8.
    assert threshold == 0.8
    # Image 3: none of one. Image 2: one of two, 2·1/(1+2). Image 1: all. Image 4 has no annotations.
    assert [(score.image_id, round(score.f1, 3)) for score in scores] == [(3, 0.0), (2, 0.667), (1, 1.0)]
    assert [score.wrong.tolist() for score in scores] == [[], [], []]
    found_ids = {kind: [score.image_id for score in chosen] for kind, chosen in best_and_worst(scores).items()}
    assert found_ids == {"best": [1, 2], "worst": [3, 2]}


def test_no_detections() -> None:
    truth = {
        "images": [{"id": 1}],
        "categories": [{"id": 1}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
    }
    _, scores = score_images(parse_ground_truth(truth, ""), parse_detections([], ""))
    assert [score.f1 for score in scores] == [0.0]


def test_images_of_a_folder(tmp_path: Path) -> None:
    content, found = noisy_case(4, 5)
    truth = parse_ground_truth(content, "truth.json")
    with pytest.raises(DataError, match=r"truth\.json.* 0\.jpg"):
        check_image_folder(truth, tmp_path)
    for entry in content["images"][1:]:
        Image.new("RGB", (entry["width"], entry["height"]), "gray").save(tmp_path / entry["file_name"])
    assert " 1 of 4 " in str(check_image_folder(truth, tmp_path))
    assert image_file(truth, content["images"][0]["id"], tmp_path) is None
    paths = draw_best_and_worst(truth, parse_detections(found, ""), tmp_path, tmp_path / "new")
    assert [path.name for path in paths] == ["best_images.png", "worst_images.png"]
    for path in paths:
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20
    (tmp_path / "1.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"1\.jpg"):
        draw_best_and_worst(truth, parse_detections(found, ""), tmp_path, tmp_path / "new")
    Image.new("RGB", (400, 300)).save(tmp_path / "0.jpg")
    assert check_image_folder(truth, tmp_path) is None


@pytest.mark.parametrize(("size", "shown"), [((6, 8), (6, 8)), ((8, 6), (8, 6)), (None, (6, 8))])
def test_images_are_drawn_in_the_frame_of_the_annotations(size: tuple[int, int] | None, shown: tuple[int, int]) -> None:
    image = Image.new("RGB", (8, 6))
    image.getexif()[0x0112] = 6  # the picture is 6 × 8 px
    entry = {"width": size[0], "height": size[1]} if size else {}
    assert in_frame_of(entry, image).size == shown
