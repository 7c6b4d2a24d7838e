"""One drawn data set gives the same boxes in each layout, from folders and from zips."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from drawn_layouts import DATA_SET, WITH_SPLITS, WITHOUT, WITHOUT_SPLITS, DataSet, Write, content

from data_prep.detection.formats import cvat_xml, label_studio, pascal_voc, supervisely, via, yolo
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.files.tree import open_tree

RECOGNISERS = {
    "yolo": yolo,
    "pascal_voc": pascal_voc,
    "via": via,
    "supervisely": supervisely,
    "cvat_xml": cvat_xml,
    "label_studio": label_studio,
}


def recognise(source: Path) -> tuple[str, Layout]:
    """Return the one format that takes a source for its own, and the layout."""
    found = {name: layout for name, one in RECOGNISERS.items() if (layout := one.recognise(Catalog(open_tree(source))))}
    assert len(found) == 1
    return found.popitem()


CASES = [(name, write, data) for writers, data in ((WITH_SPLITS, DATA_SET), (WITHOUT, WITHOUT_SPLITS))
         for name, write in writers.items() if name.partition(",")[0] in RECOGNISERS]  # fmt: skip


@pytest.mark.parametrize(("name", "write", "data_set"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("packing", ["folder", "zip", "zip with a folder"])
def test_boxes_are_the_same(tmp_path: Path, name: str, write: Write, data_set: DataSet, packing: str) -> None:
    source = tmp_path / "my set"
    write(source)
    if packing != "folder":
        top = (
            {"root_dir": tmp_path, "base_dir": source.name} if packing == "zip with a folder" else {"root_dir": source}
        )
        source = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", **top))
    found, layout = recognise(source)
    assert found == name.partition(",")[0]
    splits = content(layout)
    assert list(splits) == list(data_set)
    for split, images in data_set.items():
        assert list(splits[split]) == sorted(image.file_name for image in images)
        for image in images:
            size, objects = splits[split][image.file_name]
            assert size == (image.width, image.height)
            assert [one[0] for one in objects] == [one.name for one in image.objects]
            for (_, box), drawn in zip(objects, image.objects, strict=True):
                assert box == pytest.approx(drawn.box, abs=0.01)
