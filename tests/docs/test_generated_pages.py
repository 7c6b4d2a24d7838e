"""The reference pages of commands, configuration and Python are what the program says: checked, damaged, and repaired.

In one process of its own: other tests add variants, which would stand in the help texts.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGES = ("commands.md", "configuration.md", "python.md")
PROGRAM = """
import contextlib, io, json, pathlib, sys
docs, copy = map(pathlib.Path, sys.argv[1:])
sys.path.insert(0, str(docs))
import generate_reference as generator

def call(folder, *flags):
    generator.FOLDER = folder
    with contextlib.redirect_stderr(io.StringIO()) as said:
        return generator.main(flags), said.getvalue()

print(json.dumps([call(docs / "reference", "--check"), call(copy, "--check"), call(copy)]))
"""


@pytest.fixture(scope="module")
def damaged(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A copy of the pages, each with a fault, until `said` has repaired them."""
    folder = Path(shutil.copytree(repo / "docs/reference", tmp_path_factory.mktemp("docs") / "reference"))
    commands, configuration, python = pages = [folder / page for page in PAGES]
    lines = commands.read_text().splitlines(True)
    commands.write_text("".join(line for line in lines if "`--parity-images" not in line))
    configuration.write_text(configuration.read_text() + "| `training.made_up` | integer | `1` | Nothing. |\n")
    python.write_text(python.read_text().replace("### Model.features", "### Model.feature"))
    return pages


@pytest.fixture(scope="module")
def said(repo: Path, damaged: list[Path]) -> list[Any]:
    """Exit codes and standard error of checks of the pages and of the damaged ones, and of the repair."""
    command = [sys.executable, "-c", PROGRAM, repo / "docs", damaged[0].parent]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_pages_are_what_the_program_says(said: list[Any]) -> None:
    assert said[0] == [0, ""]


def test_a_missing_row_and_an_extra_one_are_found_and_repaired(
    said: list[Any], damaged: list[Path], repo: Path
) -> None:
    code, lines = said[1]
    assert code == 1
    assert all(str(page) in lines for page in damaged)
    assert said[2] == [0, ""]
    assert [page.read_text() for page in damaged] == [(repo / "docs/reference" / page).read_text() for page in PAGES]
