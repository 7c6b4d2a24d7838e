"""F1 per image, and which detections count as right."""

from __future__ import annotations

from mnasnet_cli.metrics.coco_files import detections, ground_truth
from mnasnet_cli.metrics.detection_images import score_images


def test_images_are_scored_at_the_threshold_with_the_best_f1():
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
        (1, box, 0.9),  # right
        (2, box, 0.8),  # right
        (2, box, 0.7),  # the same again: wrong
        (3, far, 0.95),  # inside the crowd: doesn't count
        (4, far, 0.6),  # image without annotations: wrong
        (3, far, 0.1),
    ]
    found = [{"image_id": image, "category_id": 1, "bbox": place, "score": score} for image, place, score in rows]
    threshold, scores = score_images(ground_truth(truth, ""), detections(found, ""))
    # F1 after each detection that counts, with 4 annotations: 2·1/(1+4), 2·2/(2+4), 2·2/(3+4), …: best at 0.8.
    assert threshold == 0.8
    # Image 3: nothing right of one. Image 2: one right of two, 2·1/(1+2). Image 1: all. Image 4 has no F1.
    assert [(score.image_id, round(score.f1, 3)) for score in scores] == [(3, 0.0), (2, 0.667), (1, 1.0)]
    assert [score.wrong.tolist() for score in scores] == [[], [], []]


def test_no_detections():
    truth = {
        "images": [{"id": 1}],
        "categories": [{"id": 1}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
    }
    _, scores = score_images(ground_truth(truth, ""), detections([], ""))
    assert [score.f1 for score in scores] == [0.0]
