"""The classes of imported outputs: built-in lists, labels files, and files that do not fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.weights.class_lists import COCO, IMAGENET, builtin_classes, classifier_classes, detector_classes


def labels_file(folder: Path, *lines: str) -> Path:
    (folder / "labels.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder / "labels.txt"


def test_builtin_lists() -> None:
    synsets, names = builtin_classes(IMAGENET)
    assert (len(synsets), len(names), synsets[0], synsets[-1]) == (1000, 1000, "n01440764", "n15075141")
    assert synsets == sorted(synsets)
    ids, names = builtin_classes(COCO)
    assert (len(ids), ids[11], names[11], ids[-1], names[-1]) == (80, "13", "stop sign", "90", "toothbrush")


@pytest.mark.parametrize(("outputs", "first"), [(1000, 0), (1001, 1)])
def test_imagenet_is_the_default_of_classifiers(outputs: int, first: int) -> None:
    labels, _, kept = classifier_classes(outputs, None)
    assert labels == builtin_classes(IMAGENET)[0]
    assert kept.tolist() == list(range(first, outputs))


def test_other_classifiers_are_numbered_from_1() -> None:
    labels, names, kept = classifier_classes(3, None)
    assert (labels, names, kept.tolist()) == (["1", "2", "3"], ["1", "2", "3"], [0, 1, 2])


def test_a_labels_file_with_one_class_less_than_outputs_drops_the_background(tmp_path: Path) -> None:
    file = labels_file(tmp_path, "n1\tone", "n2\ttwo")
    assert classifier_classes(2, file)[2].tolist() == [0, 1]
    labels, names, kept = classifier_classes(3, file)
    assert (labels, names, kept.tolist()) == (["n1", "n2"], ["one", "two"], [1, 2])
    for outputs in (1, 4):
        with pytest.raises(DataError, match=f"2 classes.* {outputs} outputs"):
            classifier_classes(outputs, file)


def test_coco_is_the_default_of_detectors() -> None:
    labels, _, kept = detector_classes(91, None)
    assert labels == builtin_classes(COCO)[0]
    assert kept.tolist() == list(map(int, labels))
    with pytest.raises(ConfigError, match="--labels"):
        detector_classes(4, None)


def test_detector_outputs_are_category_ids(tmp_path: Path) -> None:
    file = labels_file(tmp_path, "3\tdog", "1\tcat")
    labels, names, kept = detector_classes(5, file)
    assert (labels, names, kept.tolist()) == (["3", "1"], ["dog", "cat"], [3, 1])


@pytest.mark.parametrize("label", ["0", "5", "-1", "cat"])
def test_ids_without_an_output_are_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(DataError, match=rf"labels\.txt .* {re.escape(label)}.*1 to 4"):
        detector_classes(5, labels_file(tmp_path, "1\tcat", f"{label}\tdog"))


def test_labels_files_without_classes_or_with_repetitions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.txt"):
        classifier_classes(2, labels_file(tmp_path))
    with pytest.raises(DataError, match="n1 twice"):
        classifier_classes(2, labels_file(tmp_path, "n1\tone", "n1\tother"))
