"""The confusion matrix of a detector, counted by hand."""

from __future__ import annotations

from mnasnet_cli.metrics.coco_files import parse_detections, parse_ground_truth
from mnasnet_cli.metrics.detection_confusion import confuse_detections


def test_a_detection_is_right_confused_or_of_nothing():
    a, b, c = [10, 10, 20, 20], [50, 50, 20, 20], [100, 100, 20, 20]
    truth = {
        "images": [{"id": 1}, {"id": 2}, {"id": 3}],
        "categories": [{"id": 5, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "bbox": a},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": b},
            {"id": 3, "image_id": 2, "category_id": 9, "bbox": a},
            {"id": 4, "image_id": 2, "category_id": 5, "bbox": [90, 90, 200, 200], "iscrowd": 1},
        ],
    }
    rows = [
        (1, 5, a, 0.9),  # right
        (1, 9, a, 0.95),  # a dog on the cat that a right detection has taken: of nothing
        (1, 5, b, 0.8),  # a cat on the dog: confused
        (2, 5, c, 0.9),  # inside the crowd of cats: does not count
        (3, 9, a, 0.7),  # in an image without annotations: of nothing
        (2, 9, a, 0.1),  # right, but below the threshold: the dog is missed
    ]
    found = [
        {"image_id": image, "category_id": category, "bbox": place, "score": score}
        for image, category, place, score in rows
    ]
    counts = confuse_detections(parse_ground_truth(truth, ""), parse_detections(found, ""), 0.5)
    # Rows: cat, dog, nothing. Columns: cat, dog, missed.
    assert counts.tolist() == [[1, 0, 0], [1, 0, 1], [0, 2, 0]]


def test_no_detections():
    truth = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
    }
    counts = confuse_detections(parse_ground_truth(truth, ""), parse_detections([], ""), 0.5)
    assert counts.tolist() == [[0, 1], [0, 0]]
