"""The reference pages of commands, configuration and Python are what the program says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = ("commands.md", "configuration.md", "python.md")


def _generate(script: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    # In a process of its own: other tests add variants, which would stand in the help texts.
    return subprocess.run([sys.executable, script, *flags], capture_output=True, text=True, check=False)


@pytest.fixture
def copied(repo: Path, tmp_path: Path) -> Path:
    """A copy of the generator and of its pages."""
    (tmp_path / "reference").mkdir()
    for page in PAGES:
        shutil.copy(repo / "docs/reference" / page, tmp_path / "reference")
    shutil.copy(repo / "docs/python_page.py", tmp_path)
    return Path(shutil.copy(repo / "docs/generate_reference.py", tmp_path))


def test_the_pages_are_what_the_program_says(repo: Path) -> None:
    result = _generate(repo / "docs/generate_reference.py", "--check")
    assert result.returncode == 0, result.stderr


def test_a_missing_row_and_an_extra_one_are_found_and_repaired(copied: Path) -> None:
    pages = [copied.parent / "reference" / page for page in PAGES]
    before = [page.read_text() for page in pages]
    pages[0].write_text("".join(line for line in before[0].splitlines(True) if "`--parity-images" not in line))
    pages[1].write_text(before[1] + "| `training.made_up` | integer | `1` | Nothing. |\n")
    pages[2].write_text(before[2].replace("### Model.features", "### Model.feature"))
    result = _generate(copied, "--check")
    assert result.returncode == 1
    assert all(str(page) in result.stderr for page in pages)
    assert _generate(copied).returncode == 0
    assert [page.read_text() for page in pages] == before
