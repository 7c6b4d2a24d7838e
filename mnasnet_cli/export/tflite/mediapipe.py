"""What MediaPipe Tasks needs in a TFLite file: labels, normalization, and tensors of the types that it reads.

MediaPipe resizes the whole image to the net's input, without a crop. It feeds float32 or uint8, never int8. To float32
it applies one mean and one deviation, to uint8 none. It shows a classifier's outputs as scores. Of a detector's outputs
it reads all four as float32.

So there are two kinds of files. By default, a file takes the normalized input of all other formats. MediaPipe runs it
if its tensors allow that; one mean and one deviation then stand for those of three channels, and scores are logits.
With `mediapipe=True`, a file takes pixels in [0, 255] and normalizes them itself. MediaPipe then computes what the
checkpoint does. A classifier gives probabilities first, then logits; a detector's classes and counts are floats. The
manifest of such a file has mean 0 and deviation 1, so a program that follows its manifest runs both kinds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.export.tflite.metadata import (
    AXIS_LABELS,
    VALUE_LABELS,
    OutputTensor,
    add_metadata,
    task_metadata,
)
from mnasnet_cli.inference.model import LoadedModel

CLASSIFIER, DETECTOR = "ImageClassifier", "ObjectDetector"
LABELS_FILE, NAMES_FILE = "labels.txt", "names.txt"
# The outputs of a detector as MediaPipe calls them. It finds them by these names.
_DETECTOR_TENSORS = {
    "detection_boxes": OutputTensor("location", is_boxes=True, item_axis=2),
    "detection_classes": OutputTensor("category", labels=VALUE_LABELS, item_axis=2),
    "detection_scores": OutputTensor("score", item_axis=2),
    "num_detections": OutputTensor("number of detections"),
}
_NO_LABEL = "???"  # of a category id that the data set does not have


def pixel_preprocessing(preprocessing: Preprocessing) -> Preprocessing:
    """Return the preprocessing for a net that normalizes pixels itself."""
    return dataclasses.replace(preprocessing, mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0))


def as_pixels(tensors: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Return the pixels in [0, 255] from which normalization makes these tensors, float32 [..., 3]."""
    deviation, mean = (np.asarray(one, np.float32) for one in (preprocessing.deviation, preprocessing.mean))
    return np.clip(tensors * deviation + mean, 0.0, 255.0)


def describe_for_mediapipe(
    content: bytes, loaded: LoadedModel, outputs: Mapping[str, Any], *, pixels: bool
) -> tuple[bytes, dict[str, Any]]:
    """Return the TFLite file with metadata, and what the manifest says about MediaPipe.

    Args:
      outputs: names and types of the outputs, in the order of the file.
      pixels: whether the net normalizes its input.
    """
    preprocessing = pixel_preprocessing(loaded.preprocessing) if pixels else loaded.preprocessing
    mean, deviation = (sum(values) / 3 for values in (preprocessing.mean, preprocessing.deviation))
    is_classifier = loaded.task == "classification"
    if is_classifier:
        tensors = [OutputTensor(name, labels=AXIS_LABELS) for name in outputs]
        labels, names = list(loaded.labels), list(loaded.names)
    else:
        tensors = [_DETECTOR_TENSORS.get(name, OutputTensor(name)) for name in outputs]
        labels = names = _by_category_id(loaded)
    files = {LABELS_FILE: labels} if labels == names else {LABELS_FILE: labels, NAMES_FILE: names}
    task = CLASSIFIER if is_classifier else DETECTOR
    metadata = task_metadata(task, mean, deviation, tensors, list(files))
    uniform = len(set(preprocessing.mean)) == len(set(preprocessing.deviation)) == 1
    described = {
        "task": task,
        "runs": _runs(is_classifier, outputs),
        "same_normalization": uniform,
        "mean": mean,
        "deviation": deviation,
        "files": list(files),
    }
    return add_metadata(content, metadata, files), described


def _runs(is_classifier: bool, outputs: Mapping[str, Any]) -> bool:
    """Return whether MediaPipe reads the types of these outputs."""
    types = {np.dtype(kind) for kind in outputs.values()}
    if is_classifier:
        return types <= {np.dtype(np.float32), np.dtype(np.uint8)}
    return set(outputs) == set(_DETECTOR_TENSORS) and types == {np.dtype(np.float32)}


def _by_category_id(loaded: LoadedModel) -> list[str]:
    """Return the names of a detector's classes in a list in which the index is the category id."""
    assert loaded.postprocessing is not None
    named = dict(zip(loaded.postprocessing.category_ids, loaded.names, strict=True))
    return [named.get(number, _NO_LABEL) for number in range(max(named) + 1)]
