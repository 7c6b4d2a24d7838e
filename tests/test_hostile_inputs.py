"""Pipes, devices, large files and damaged numbers, given to commands: one line, at once, and exit code 2."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep.coco import prepare_coco
from data_prep.files.file_list import FileList
from data_prep.files.tree import FolderTree
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.image_files.header import MAX_FILE_BYTES, BadImage
from mnasnet_cli.system.documents import MAX_YAML_NODES, Unreadable, parse_json, parse_yaml, read_json


@pytest.fixture(params=["pipe", "device"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "endless.jpg"
    if request.param == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize(
    "words", [("report", "X", "X"), ("prepare-imagenet", "X", "out"), ("prepare-coco", "X", "out"), ("inspect", "X")]
)
def test_a_pipe_or_a_device_is_refused(words: tuple[str, ...], endless: Path, mnasnet: Callable[..., Any]) -> None:
    given = {"X": str(endless), "out": str(endless.parent / "out")}
    outcome = mnasnet(*(given.get(word, word) for word in words))
    assert (outcome.code, len(outcome.lines)) == (2, 1), outcome.err


def test_a_pipe_in_a_source_is_a_bad_image_and_a_pipe_as_labels_an_error(tmp_path: Path) -> None:
    (tmp_path / "source/annotations").mkdir(parents=True)
    os.mkfifo(tmp_path / "source/annotations/instances_train2017.json")
    with pytest.raises(DataError):
        prepare_coco(tmp_path / "source", tmp_path / "out")


def test_an_image_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    from data_prep.files.archives import FileEntry

    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # a file with a hole
    files = FileList(tmp_path)
    files.append(FileEntry("large.jpg", MAX_FILE_BYTES + 1))
    with pytest.raises(BadImage, match="an image has at most"):
        files.read(0)


@pytest.mark.parametrize("text", ["NaN", "1e999", "9" * 20, "9" * 5000, "[" * 100_000, "{", '{"a": 1,}', b"\xff\xfe"])
def test_damaged_json_is_one_line(text: str | bytes) -> None:
    with pytest.raises(Unreadable, match=r"^a\.json is not (valid JSON: |text in UTF-8)") as caught:
        parse_json(text, "a.json")
    assert len(str(caught.value)) < 200


def test_a_mark_of_the_byte_order_is_read_over() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}', "a.json") == {"a": 1}


def test_yaml_that_expands_or_repeats_itself_is_refused() -> None:
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    for text in (bomb, "&a [*a]"):
        with pytest.raises(Unreadable, match=f"{MAX_YAML_NODES:,}"):
            parse_yaml(text, "a.yaml")


def test_a_file_of_another_type_names_the_key_what_it_holds_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"a": {"b": "x" * 100_000}}))
    with pytest.raises(Unreadable, match=r"a\.json is not as expected: a\.b: .*integer.*'x+…; mend it$") as caught:
        read_json(tmp_path / "a.json", dict[str, dict[str, int]], "mend it")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_file_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017/1.jpg").write_bytes(b"x")
    content = {"images": [{"id": 1, "file_name": name}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="file_name"):
        prepare_coco(tmp_path, tmp_path.with_name("out"))


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_folder_that_cannot_be_is_not_there(name: str, tmp_path: Path) -> None:
    tree = FolderTree(tmp_path)
    for look in (tree.listing, tree.names, tree.open):
        with pytest.raises(FileNotFoundError):
            look(name)
