"""Which class each output of a classifier or detector stands for (no TensorFlow).

Weights carry no names. ImageNet's 1000 classes are known here in the order that all of its programs have, that of the
sorted synsets, and COCO's 80 categories by their ids; a labels file says it for everything else.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.records.dataset_info import read_labels

IMAGENET, COCO = "imagenet_classes.txt", "coco_classes.txt"


def known_classes(file: str) -> tuple[list[str], list[str]]:
    """(synsets or category ids, names) of a data set whose list comes with the program."""
    with resources.as_file(resources.files(__package__) / file) as path:
        labels, names = read_labels(path)
    return list(labels), list(names)


def classifier_classes(outputs: int, labels_file: Path | None) -> tuple[list[str], list[str], np.ndarray]:
    """Labels and names of a classifier's classes, and the outputs that stand for them.

    An output more than there are classes is the background, the first one, as TF-Slim's records count it: no image
    shows it, and it is left out.

    Raises:
      DataError: the labels file has another number of classes.
    """
    if labels_file is not None:
        labels, names = _read(labels_file)
    elif outputs in (1000, 1001):
        labels, names = known_classes(IMAGENET)
    else:  # as of records that name no classes
        labels = names = [str(number + 1) for number in range(outputs)]
    if outputs - len(labels) not in (0, 1):
        raise DataError(f"{labels_file} names {len(labels)} classes, but the weights have {outputs} outputs")
    return labels, names, np.arange(outputs - len(labels), outputs)


def detector_classes(slots: int, labels_file: Path | None) -> tuple[list[str], list[str], np.ndarray]:
    """Category ids and names of a detector's classes, and the slots that stand for them: slot number = category id.

    Of COCO's 90 ids 80 are in use; without a labels file only those are kept.

    Raises:
      DataError: an id that has no slot.
      ConfigError: it is not COCO, and there is no labels file.
    """
    if labels_file is not None:
        labels, names = _read(labels_file)
    elif slots == 91:
        labels, names = known_classes(COCO)
    else:
        raise ConfigError(
            f"the weights detect {slots - 1} classes, which are not COCO's; name them with --labels FILE, a line each: "
            "category id, tab, name"
        )
    odd = [label for label in labels if not label.isdecimal() or not 1 <= int(label) < slots]
    if odd:
        raise DataError(f"{labels_file} has the ids {', '.join(odd[:5])}; the weights have classes 1 to {slots - 1}")
    return labels, names, np.array([int(label) for label in labels])


def _read(path: Path) -> tuple[list[str], list[str]]:
    labels, names = read_labels(path)
    if not labels:
        raise DataError(f"{path} names no classes; expected a line each: label, tab, name")
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"{path} names {twice} twice")
    return list(labels), list(names)
