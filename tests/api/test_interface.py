"""`import mnasnet_cli as mnasnet`: quick, quiet, without TensorFlow, typed, and the examples in its docstrings.

That TensorFlow says nothing when it comes is in system/test_tensorflow_notices.py.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import mnasnet_cli as mnasnet


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_import_prints_nothing_and_loads_nothing() -> None:
    heavy = "('tensorflow', 'numpy', 'pydantic', 'rich', 'PIL', 'yaml')"
    result = _run(f"import mnasnet_cli, sys; assert not [name for name in {heavy} if name in sys.modules]")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_names_come_without_tensorflow_too() -> None:
    names = ", ".join(f"m.{name}" for name in mnasnet.__all__)
    result = _run(f"import mnasnet_cli as m, sys; {names}; assert 'tensorflow' not in sys.modules; print(len(dir(m)))")
    assert (result.returncode, result.stderr) == (0, "")


def test_every_name_exists_and_has_a_docstring() -> None:
    assert sorted(mnasnet.__all__) == mnasnet.__all__
    for name in mnasnet.__all__:
        assert getattr(mnasnet, name).__doc__
        assert name in dir(mnasnet)
    with pytest.raises(AttributeError, match="module 'mnasnet_cli' has no attribute 'nothing'"):
        _ = mnasnet.nothing  # type: ignore[attr-defined]


def test_type_checkers_see_what_the_program_has() -> None:
    """The imports under `if TYPE_CHECKING` are those of `__getattr__`."""
    tree = ast.parse(Path(mnasnet.__file__).read_text())
    [block] = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom)
                for alias in node.names}  # fmt: skip
    assert sorted(imported) == mnasnet.__all__
    for name, module in imported.items():
        assert getattr(mnasnet, name) is getattr(importlib.import_module(str(module)), name)


def test_a_module_of_the_same_name_hides_no_function() -> None:
    importlib.import_module("mnasnet_cli.modules.classifier")
    modules = {path.stem for path in Path(mnasnet.__file__).parent.iterdir()}
    assert not modules & set(mnasnet.__all__)


@pytest.mark.parametrize("module", ["model", "training", "preparation", "catalogue"])
def test_the_examples_in_docstrings(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"mnasnet_cli.api.{module}")).failed == 0
