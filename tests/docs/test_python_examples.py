"""The Python lines of the README and the notebook, as they stand there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from image_files import noise

NOTEBOOK = "docs/tutorials/pictures-to-tflite.ipynb"


def _notebook(repo: Path) -> Any:
    return json.loads((repo / NOTEBOOK).read_text())


def _code(repo: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in _notebook(repo)["cells"] if cell["cell_type"] == "code"]


@pytest.mark.usefixtures("tiny_net")
def test_the_readmes_lines(
    repo: Path, trained_run: Path, shape_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained_run, "runs/photos")
    shutil.copytree(shape_records, "data/photos")
    Path("holiday").mkdir()
    for number in (1, 2):
        noise(seed=number).save(f"holiday/{number}.jpg")
    [block] = re.findall(r"^```python\n(.*?)^```", (repo / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    exec(block, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["holiday/1.jpg", "holiday/2.jpg"]
    assert lines[2].startswith("(2, 64) ")
    assert Path("explained.jpg").exists()


def test_the_notebook_is_valid_and_has_no_outputs(repo: Path) -> None:
    notebook = _notebook(repo)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        assert set(cell) == (keys | {"execution_count", "outputs"} if cell["cell_type"] == "code" else keys)
        if cell["cell_type"] == "code":
            assert (cell["execution_count"], cell["outputs"]) == (None, [])


@pytest.mark.variation
@pytest.mark.usefixtures("tiny_net")
def test_the_notebooks_cells_with_a_small_net(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell, with less to compute: a net of two blocks, fewer and smaller pictures, one epoch."""
    monkeypatch.chdir(tmp_path)
    smaller = {
        'variant="small"': 'variant="tiny"', "epochs=20": "epochs=1, image_size=32", "train_per_class=200":
        "train_per_class=8", "val_per_class=40": "val_per_class=3",
    }  # fmt: skip
    names: dict[str, Any] = {}
    cells = "\0".join(_code(repo))
    for found, replacement in smaller.items():
        assert cells.count(found) == 1
        cells = cells.replace(found, replacement)
    for cell in cells.split("\0"):
        exec(cell, names)
    assert names["records"]["splits"]["train"]["examples"] == 48
    assert (len(names["features"]), names["report"]["examples"]) == (18, 18)
    assert names["exported"].path.suffix == ".tflite"
    assert names["phone"].format == "tflite"


@pytest.mark.slow
def test_the_notebook_learns(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in _code(repo):
        exec(cell, names)
    assert names["report"]["top1"] > 0.5
