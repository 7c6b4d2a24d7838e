"""Runs a model on input images, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import numpy as np

from mnasnet_cli.errors import DataError
from mnasnet_cli.inference.runner import Runner
from mnasnet_cli.prediction.images import InputImage, UnreadableInput
from mnasnet_cli.prediction.results import Box, Prediction, ScoredClass


def predict(
    runner: Runner,
    images: Iterable[InputImage | UnreadableInput],
    *,
    batch_size: int = 8,
    top: int = 5,
    score_threshold: float = 0.3,
    feature_maps: bool = False,
) -> Iterator[Prediction | UnreadableInput]:
    """Yields the prediction for each image, in order. Unreadable inputs are passed through.

    Args:
      top: number of classes of a classifier's prediction, the most probable ones.
      score_threshold: smallest score of a detector's boxes.
      feature_maps: add the last features before pooling to the predictions of a classifier.

    Raises:
      CheckpointError: feature maps of a model that has none; see `Runner.predict_with_features`.
    """
    run = runner.predict_with_features if feature_maps else runner.predict_tensors
    remaining = iter(images)
    while batch := list(islice(remaining, batch_size)):
        prepared = [_preprocess(runner, image) for image in batch]
        inputs = [item[1] for item in prepared if not isinstance(item, UnreadableInput)]
        outputs = iter(_split_batch(run(np.stack(inputs))) if inputs else [])
        for item in prepared:
            if isinstance(item, UnreadableInput):
                yield item
                continue
            image, output = item[0], next(outputs)
            if runner.task == "classification":
                classes = top_classes(runner, output["logits"], top)
                yield Prediction(runner.task, image, classes=classes, feature_map=output.get("feature_map"))
            else:
                yield Prediction(runner.task, image, boxes=_boxes(runner, output, image, score_threshold))


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


def top_classes(runner: Runner, logits: np.ndarray, top: int) -> tuple[ScoredClass, ...]:
    """The `top` most probable classes for logits [C], the most probable first."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = shifted / shifted.sum()
    best = np.argsort(-probabilities, kind="stable")[:top]
    labels, names = runner.manifest.labels, runner.manifest.names
    return tuple(ScoredClass(labels[index], names[index], float(probabilities[index])) for index in best.tolist())


def _boxes(runner: Runner, output: Mapping[str, np.ndarray], image: InputImage, threshold: float) -> tuple[Box, ...]:
    names = dict(zip(map(str, runner.manifest.labels), runner.manifest.names, strict=True))
    boxes = []
    for index in range(int(output["num_detections"])):
        score = float(output["detection_scores"][index])
        if score < threshold:
            break  # the scores are sorted
        ymin, xmin, ymax, xmax = output["detection_boxes"][index].tolist()
        category = int(output["detection_classes"][index])
        boxes.append(
            Box(
                label=category,
                name=names.get(str(category), str(category)),
                score=score,
                xmin=round(xmin * image.width, 1),
                ymin=round(ymin * image.height, 1),
                xmax=round(xmax * image.width, 1),
                ymax=round(ymax * image.height, 1),
            )
        )
    return tuple(boxes)
