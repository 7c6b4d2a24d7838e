"""Label maps from the categories of a record folder."""

from __future__ import annotations

import sys

import pytest

from mnasnet_cli.integrations import label_map


def test_label_map(tmp_path):
    (tmp_path / "dataset.json").write_text(
        '{"categories": [{"label": 1, "id": 1, "name": "person"}, {"label": 2, "id": 90, "name": "the \\"brush\\" é"}]}'
    )
    assert label_map.label_map(str(tmp_path)) == (
        'item {\n  id: 1\n  name: "person"\n}\nitem {\n  id: 90\n  name: "the \\"brush\\" é"\n}\n'
    )


@pytest.mark.parametrize("content", [None, "{", "[]", '{"categories": [{"id": 1}]}'])
def test_folders_without_categories(tmp_path, content, monkeypatch):
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    monkeypatch.setattr(sys, "argv", ["label_map", str(tmp_path), str(tmp_path / "out.pbtxt")])
    with pytest.raises(SystemExit, match=r"dataset\.json .*`mnasnet prepare-coco`"):
        label_map.main()
    assert not (tmp_path / "out.pbtxt").exists()


def test_the_command_writes_the_file(tmp_path, monkeypatch):
    (tmp_path / "dataset.json").write_text('{"categories": [{"id": 3, "name": "cat"}]}')
    monkeypatch.setattr(sys, "argv", ["label_map", str(tmp_path), str(tmp_path / "out.pbtxt")])
    label_map.main()
    assert (tmp_path / "out.pbtxt").read_text() == label_map.label_map(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["label_map", str(tmp_path)])
    with pytest.raises(SystemExit, match="usage: "):
        label_map.main()
