"""Runs a model on input images, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from mnasnet_cli.errors import DataError
from mnasnet_cli.inference.runner import Runner
from mnasnet_cli.prediction.images import InputImage, UnreadableInput

Row = dict[str, Any]


def predict(
    runner: Runner,
    images: Iterable[InputImage | UnreadableInput],
    *,
    batch_size: int = 8,
    top: int = 5,
    score_threshold: float = 0.3,
) -> Iterator[tuple[InputImage, Row] | UnreadableInput]:
    """Yields each image with its row of predictions, in order. Unreadable inputs are passed through.

    A row has "file", and "width" and "height" in px of the upright image. A classifier adds "predictions": the `top`
    most probable classes as {"class", "name", "probability"}. A detector adds "boxes": those with a score of at least
    `score_threshold`, the best first, as {"class", "name", "score", "xmin", "ymin", "xmax", "ymax"} in px of the image.
    """
    remaining = iter(images)
    while batch := list(islice(remaining, batch_size)):
        prepared = [_preprocess(runner, image) for image in batch]
        inputs = [item[1] for item in prepared if not isinstance(item, UnreadableInput)]
        outputs = iter(_split_batch(runner.predict_tensors(np.stack(inputs))) if inputs else [])
        for item in prepared:
            if isinstance(item, UnreadableInput):
                yield item
                continue
            image, output = item[0], next(outputs)
            row: Row = {"file": image.name, "width": image.width, "height": image.height}
            if runner.task == "classification":
                row["predictions"] = top_classes(runner, output["logits"], top)
            else:
                row["boxes"] = _boxes(runner, output, image, score_threshold)
            yield image, row


def _preprocess(runner: Runner, image: InputImage | UnreadableInput) -> tuple[InputImage, np.ndarray] | UnreadableInput:
    if isinstance(image, UnreadableInput):
        return image
    try:
        return image, runner.preprocess(image.encoded)
    except DataError as error:  # TensorFlow's decoder rejects some files that Pillow reads
        return UnreadableInput(image.name, str(error))


def _split_batch(outputs: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    count = len(next(iter(outputs.values())))
    return [{name: values[index] for name, values in outputs.items()} for index in range(count)]


def top_classes(runner: Runner, logits: np.ndarray, top: int) -> list[Row]:
    """The `top` most probable classes for logits [C], the most probable first."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = shifted / shifted.sum()
    best = np.argsort(-probabilities, kind="stable")[:top]
    labels, names = runner.manifest.labels, runner.manifest.names
    return [
        {"class": labels[index], "name": names[index], "probability": float(probabilities[index])}
        for index in best.tolist()
    ]


def _boxes(runner: Runner, output: Mapping[str, np.ndarray], image: InputImage, threshold: float) -> list[Row]:
    names = dict(zip(map(str, runner.manifest.labels), runner.manifest.names, strict=True))
    boxes = []
    for index in range(int(output["num_detections"])):
        score = float(output["detection_scores"][index])
        if score < threshold:
            break  # the scores are sorted
        ymin, xmin, ymax, xmax = output["detection_boxes"][index].tolist()
        category = int(output["detection_classes"][index])
        boxes.append(
            {
                "class": category,
                "name": names.get(str(category), str(category)),
                "score": score,
                "xmin": round(xmin * image.width, 1),
                "ymin": round(ymin * image.height, 1),
                "xmax": round(xmax * image.width, 1),
                "ymax": round(ymax * image.height, 1),
            }
        )
    return boxes
