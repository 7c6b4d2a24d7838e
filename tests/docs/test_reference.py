"""The hand-written reference pages name every key and file, and no other."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnasnet_cli.config.pre_postprocessing import Postprocessing, Preprocessing
from mnasnet_cli.inference.manifest import parse_manifest
from mnasnet_cli.metrics.coco_map import COCO_METRICS
from mnasnet_cli.records import keys

MANIFEST = {
    "format": "tflite", "kind": "classifier", "variant": "b1", "width": 1.0, "labels": ["a"], "names": ["a"],
    "preprocessing": {"image_size": 224}, "postprocessing": None, "source": "ckpt-1", "step": 1, "averaged": False,
    "files": [],
}  # fmt: skip


def _rows(page: Path, heading: str) -> list[str]:
    """The first cells of the tables between a heading and the next one."""
    text = page.read_text()
    start = text.index(f"{heading}\n") + len(heading)
    end = re.search(r"^#", text[start:], re.MULTILINE)
    section = text[start : start + end.start()] if end else text[start:]
    return re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)


def _names(rows: list[str]) -> list[str]:
    """The names in code, with `{a,b}` written out."""
    return [name for row in rows for code in re.findall(r"`([^`]+)`", row) for name in _expand(code)]


def _expand(name: str) -> Iterator[str]:
    before, brace, rest = name.partition("{")
    if not brace:
        yield name
        return
    choices, _, after = rest.partition("}")
    for choice in choices.split(","):
        yield f"{before}{choice}{after}"


def test_the_manifests_keys(repo: Path) -> None:
    page = repo / "docs/reference/manifest.md"
    written = json.loads(parse_manifest(json.dumps(MANIFEST)).to_json())
    assert sorted(_names(_rows(page, "# manifest.json"))) == sorted(written)
    for heading, kind in (("## preprocessing", Preprocessing), ("## postprocessing", Postprocessing)):
        assert sorted(_names(_rows(page, heading))) == sorted(field.name for field in dataclasses.fields(kind))


def test_the_records_keys(repo: Path) -> None:
    page = repo / "docs/reference/records.md"
    both = {keys.ENCODED, keys.FORMAT, keys.HEIGHT, keys.WIDTH, keys.FILENAME}
    imagenet = {keys.COLORSPACE, keys.CHANNELS, keys.LABEL, keys.SYNSET, keys.TEXT}
    coco = {keys.SOURCE_ID, keys.SHA256, *keys.BOX_SIDES, keys.OBJECT_LABEL, keys.OBJECT_TEXT, keys.IS_CROWD, keys.AREA}
    assert sorted(_names(_rows(page, "### Keys of ImageNet records"))) == sorted(both | imagenet)
    assert sorted(_names(_rows(page, "### Keys of COCO records"))) == sorted(both | coco)
    defined = {value for value in vars(keys).values() if isinstance(value, str) and value.startswith("image/")}
    assert defined | set(keys.BOX_SIDES) == both | imagenet | coco


def test_the_keys_of_dataset_json(repo: Path, shape_records: Path, scene_records: Path) -> None:
    found = [json.loads((records / "dataset.json").read_text()) for records in (shape_records, scene_records)]
    splits = [split for one in found for split in one["splits"].values()]
    written = {key for one in found for key in one} | {key for split in splits for key in split}
    rows = _rows(repo / "docs/reference/records.md", "### Keys of dataset.json")
    assert set(_names(rows)) == written
    (objects,) = (
        line for line in (repo / "docs/reference/records.md").read_text().splitlines() if "| `objects`" in line
    )
    assert set(_names([objects])) - {"objects"} == {key for split in splits for key in split.get("objects", ())}


@pytest.mark.usefixtures("tiny_net")
def test_the_files_of_a_run(repo: Path, trained_run: Path) -> None:
    page = repo / "docs/reference/run-directory.md"
    documented = {name.rstrip("/") for name in _names(_rows(page, "# Run directory"))}
    visible = {path.name for path in trained_run.iterdir() if not path.name.startswith(".")}
    assert documented == visible | {"export", "mlflow.json"}
    lines = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    keys_of_lines = set(_names(_rows(page, "## metrics.jsonl"))) - set(COCO_METRICS) - {"teacher_loss"}
    assert keys_of_lines == {key for line in lines for key in line}
