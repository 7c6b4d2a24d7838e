"""Rows of predictions, from a runner with given outputs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from image_files import as_input, noise

from mnasnet_cli.errors import DataError
from mnasnet_cli.prediction.images import InputImage, UnreadableInput
from mnasnet_cli.prediction.predict import predict, top_classes

NAMES = SimpleNamespace(labels=("4", "7", "9"), names=("ant", "bee", "cat"))


class FakeRunner:
    """Its input is the red of the first pixel; `batches` has the sizes of the batches that it ran."""

    manifest = NAMES

    def __init__(self, task: str = "classification") -> None:
        self.task = task
        self.batches: list[int] = []

    def preprocess(self, encoded: bytes) -> np.ndarray:
        if encoded == b"rejected":
            raise DataError("rejected by TensorFlow")
        return np.float32(len(encoded))

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self.batches.append(len(images))
        if self.task == "classification":
            return {"logits": np.stack([[0.0, image, 1.0] for image in images])}
        boxes = np.tile(np.array([[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1], [0, 0, 0, 0]], np.float32), (len(images), 1, 1))
        scores = np.tile(np.array([0.9, 0.4, 0.1], np.float32), (len(images), 1))
        classes = np.tile(np.array([7, 5, 4]), (len(images), 1))
        return {
            "detection_boxes": boxes,
            "detection_scores": scores,
            "detection_classes": classes,
            "num_detections": np.full(len(images), 3),
        }


def run(runner: FakeRunner, *inputs: InputImage | UnreadableInput, **options: Any) -> list[Any]:
    return list(predict(runner, inputs, **options))  # type: ignore[arg-type]  # a stand-in


def test_inputs_keep_their_order_in_batches() -> None:
    images = [as_input(noise(seed=seed), f"image {seed}") for seed in range(4)]
    bad = UnreadableInput("bad", "not an image")
    runner = FakeRunner()
    results = run(runner, images[0], bad, *images[1:], batch_size=2)
    names = [one.name if isinstance(one, UnreadableInput) else one.file for one in results]
    assert names == ["image 0", "bad", "image 1", "image 2", "image 3"]
    assert runner.batches == [1, 2, 1]
    assert results[0].image is images[0]
    assert (results[0].width, results[0].height) == (90, 60)


def test_images_that_tensorflow_rejects_are_unreadable() -> None:
    rejected = InputImage("odd", as_input(noise()).output_path, b"rejected", 1, 1)
    runner = FakeRunner()
    assert run(runner, rejected) == [UnreadableInput("odd", "rejected by TensorFlow")]
    assert runner.batches == []
    assert run(runner) == []


def test_top_classes() -> None:
    runner: Any = FakeRunner()
    best, second = top_classes(runner, np.array([0.0, np.log(3.0), np.log(2.0)], np.float32), 2)
    assert (best.label, best.name, best.probability) == ("7", "bee", pytest.approx(0.5))
    assert (second.label, second.score) == ("9", pytest.approx(1 / 3))
    equal = top_classes(runner, np.zeros(3), 5)
    assert [one.name for one in equal] == ["ant", "bee", "cat"]
    large = top_classes(runner, np.array([0.0, 2000.0, 0.0]), 1)
    assert large[0].probability == 1.0


def test_boxes_are_in_px_of_the_image_and_above_the_threshold() -> None:
    [found] = run(FakeRunner("detection"), as_input(noise(200, 100)), score_threshold=0.3)
    first, second = found.boxes
    assert (first.label, first.name, first.score) == (7, "bee", pytest.approx(0.9))
    assert (first.xmin, first.ymin, first.xmax, first.ymax) == (40.0, 10.0, 120.0, 50.0)
    assert (second.label, second.name) == (5, "5")  # a class without a name
    assert (found.label, found.name, found.score, found.probability) == (7, "bee", first.score, None)
    [found] = run(FakeRunner("detection"), as_input(noise()), score_threshold=1.0)
    assert (found.boxes, found.best, found.label, found.name, found.score) == ((), None, None, None, None)
    assert found.to_dict()["boxes"] == []
