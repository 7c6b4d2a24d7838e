"""The class that each output of imported weights stands for.

Weights hold no class names. The lists of ImageNet (1000 synsets, sorted) and COCO (80 category ids) are included in the
package; a labels file names the classes of other data sets. Needs no TensorFlow.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.records.dataset_info import read_labels
from mnasnet_cli.system.documents import is_number

IMAGENET, COCO = "imagenet_classes.txt", "coco_classes.txt"


def builtin_classes(file: str) -> tuple[list[str], list[str]]:
    """(synsets or category ids, names) of the class list `file`, which is IMAGENET or COCO."""
    with resources.as_file(resources.files(__package__) / file) as path:
        labels, names = read_labels(path)
    return list(labels), list(names)


def classifier_classes(outputs: int, labels_file: Path | None) -> tuple[list[str], list[str], np.ndarray]:
    """Labels and names of a classifier's classes, and the indices of their outputs.

    With one output more than classes, output 0 is the background of TF-Slim's records. No image shows it, so its
    index is left out.

    Raises:
      DataError: the number of classes in the labels file does not fit.
    """
    if labels_file is not None:
        labels, names = _read(labels_file)
    elif outputs in (1000, 1001):
        labels, names = builtin_classes(IMAGENET)
    else:  # numbers from 1, as for records without class names
        labels = names = [str(number + 1) for number in range(outputs)]
    if outputs - len(labels) not in (0, 1):
        raise DataError(f"{labels_file} names {len(labels)} classes, but the weights have {outputs} outputs")
    return labels, names, np.arange(outputs - len(labels), outputs)


def detector_classes(outputs: int, labels_file: Path | None) -> tuple[list[str], list[str], np.ndarray]:
    """Category ids and names of a detector's classes, and the indices of their outputs.

    Output i stands for category id i, and output 0 is the background. COCO uses 80 of its 90 ids; without a labels file
    only those are kept.

    Raises:
      DataError: the labels file has an id without an output.
      ConfigError: the weights are not COCO's, and there is no labels file.
    """
    if labels_file is not None:
        labels, names = _read(labels_file)
    elif outputs == 91:
        labels, names = builtin_classes(COCO)
    else:
        raise ConfigError(
            f"the weights detect {outputs - 1} classes, and COCO has 90; name the classes with --labels FILE, one per "
            "line: category id, tab, name"
        )
    invalid = [label for label in labels if not is_number(label) or not 1 <= int(label) < outputs]
    if invalid:
        raise DataError(
            f"{labels_file} has the ids {', '.join(invalid[:5])}; the weights have the classes 1 to {outputs - 1}"
        )
    return labels, names, np.array([int(label) for label in labels])


def _read(path: Path) -> tuple[list[str], list[str]]:
    labels, names = read_labels(path)
    if not labels:
        raise DataError(f"{path} names no classes; expected one per line: label, tab, name")
    if len(set(labels)) < len(labels):
        repeated = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"{path} names {repeated} twice; each label must be unique")
    return list(labels), list(names)
