"""The labels of a flat validation folder, and the names of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.classification.label_file import read_class_names, read_val_labels
from mnasnet_cli.errors import DataError

NAMES = [f"{number}.JPEG" for number in range(12)]
SYNSETS = ["n90000001", "n90000002", "n90000003"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n90000001\n", "1 labels for 12 validation images"),
        ("n90000001\nn9000002\n", r"line 2: 'n9000002' .* 3 classes .*did you mean 'n90000002'"),
        ("n90000001\na.JPEG n90000001\n", "line 2: .*file name"),
        ("a.JPEG n90000001\n", r"no label for 0\.JPEG"),
        ("", "is empty"),
        ("ImageId,PredictionString\n", "is empty"),
        (b"\xff\xd8\xff", "is not a text file"),
        (None, "cannot read --labels .*: no such file"),
    ],
)
def test_invalid_label_files(tmp_path: Path, text: str | bytes | None, message: str) -> None:
    labels = tmp_path / "labels"
    if text is not None:
        labels.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError, match=message):
        read_val_labels(labels, NAMES, SYNSETS)


@pytest.mark.parametrize(
    "text",
    [
        "n1\n\nn2\nn1\n",
        "c.JPEG n1\nb.JPEG n2\na.JPEG n1\n",
        "c, n1\nb, n2\na, n1\nunknown, n1\n",
        "ImageId,PredictionString\na,n1 1 2 3 4\nb,n2 1 2 3 4\nc,n1 1 2 3 4 n2 5 6 7 8\n",
    ],
)
def test_labels_in_order_and_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels").write_text(text)
    assert read_val_labels(tmp_path / "labels", ["a.JPEG", "b.JPEG", "c.JPEG"], []) == ["n1", "n2", "n1"]


def test_class_names(tmp_path: Path) -> None:
    assert read_class_names(tmp_path) == {}
    (tmp_path / "LOC_synset_mapping.txt").write_text("n1 cat\n")
    assert read_class_names(tmp_path) == {"n1": "cat"}
    (tmp_path / "synset_words.txt").write_text("n1 tench, Tinca\ttinca \nn2\n")
    assert read_class_names(tmp_path) == {"n1": "tench, Tinca tinca"}
