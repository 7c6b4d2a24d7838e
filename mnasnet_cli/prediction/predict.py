"""A net's answers for the user's pictures, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from mnasnet_cli.errors import DataError
from mnasnet_cli.inference.runner import Runner
from mnasnet_cli.prediction.images import BadPicture, Picture

Row = dict[str, Any]


def predict(
    runner: Runner,
    pictures: Iterable[Picture | BadPicture],
    *,
    batch_size: int = 8,
    top: int = 5,
    score_threshold: float = 0.3,
) -> Iterator[tuple[Picture, Row] | BadPicture]:
    """Yields each picture with what the net says of it, in their order, or a bad one with the reason.

    A row has "file", "width" and "height" (px, upright) and, of a classifier, "predictions", the `top` likeliest
    classes: {"class", "name", "probability"}; of a detector, "boxes" with a score of at least `score_threshold`, the
    best first: {"class", "name", "score", "xmin", "ymin", "xmax", "ymax"} in px of the picture.
    """
    waiting = iter(pictures)
    while group := list(islice(waiting, batch_size)):
        prepared = [_prepare(runner, picture) for picture in group]
        inputs = [item[1] for item in prepared if not isinstance(item, BadPicture)]
        outputs = iter(_by_image(runner.predict_tensors(np.stack(inputs))) if inputs else [])
        for item in prepared:
            if isinstance(item, BadPicture):
                yield item
                continue
            picture, output = item[0], next(outputs)
            row: Row = {"file": picture.name, "width": picture.width, "height": picture.height}
            if runner.kind == "classifier":
                row["predictions"] = likeliest(runner, output["logits"], top)
            else:
                row["boxes"] = _boxes(runner, output, picture, score_threshold)
            yield picture, row


def _prepare(runner: Runner, picture: Picture | BadPicture) -> tuple[Picture, np.ndarray] | BadPicture:
    if isinstance(picture, BadPicture):
        return picture
    try:
        return picture, runner.preprocess(picture.encoded)
    except DataError as error:  # TensorFlow is stricter than Pillow
        return BadPicture(picture.name, str(error))


def _by_image(outputs: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    count = len(next(iter(outputs.values())))
    return [{name: values[index] for name, values in outputs.items()} for index in range(count)]


def likeliest(runner: Runner, logits: np.ndarray, top: int) -> list[Row]:
    """The `top` classes of an image's logits [C] with their probabilities, the likeliest first."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = shifted / shifted.sum()
    best = np.argsort(-probabilities, kind="stable")[:top]
    labels, names = runner.manifest.labels, runner.manifest.names
    return [
        {"class": labels[index], "name": names[index], "probability": float(probabilities[index])}
        for index in best.tolist()
    ]


def _boxes(runner: Runner, output: Mapping[str, np.ndarray], picture: Picture, threshold: float) -> list[Row]:
    names = dict(zip(map(str, runner.manifest.labels), runner.manifest.names, strict=True))
    found = []
    for index in range(int(output["num_detections"])):
        score = float(output["detection_scores"][index])
        if score < threshold:
            break  # they come by falling score
        ymin, xmin, ymax, xmax = output["detection_boxes"][index].tolist()
        category = int(output["detection_classes"][index])
        found.append(
            {
                "class": category,
                "name": names.get(str(category), str(category)),
                "score": score,
                "xmin": round(xmin * picture.width, 1),
                "ymin": round(ymin * picture.height, 1),
                "xmax": round(xmax * picture.width, 1),
                "ymax": round(ymax * picture.height, 1),
            }
        )
    return found
