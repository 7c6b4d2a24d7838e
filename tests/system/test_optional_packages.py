"""How messages and pages say what to install for an optional job."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from mnasnet_cli.errors import EnvironmentProblem
from mnasnet_cli.export.onnx import check_converter
from mnasnet_cli.system import optional_packages


@pytest.fixture
def extras(repo):
    stated = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return {extra: {Requirement(one) for one in wanted} for extra, wanted in stated.items()}


def _packages(command):
    """The requirements of a `pip install` command."""
    assert command.startswith("pip install ")
    return {Requirement(one.strip("'\"")) for one in command.split()[2:]}


@pytest.mark.parametrize("extra", ["onnx", "import", "gpu", "bench"])
def test_the_command_installs_what_pyproject_lists(extras, extra):
    assert _packages(optional_packages.install_command(extra)) == extras[extra]


def test_one_package_of_an_extra():
    assert optional_packages.install_command("import", "torch") == "pip install 'torch>=2.4'"


@pytest.mark.parametrize("wanted", [("onx",), ("import", "tf2onnx")])
def test_an_unknown_extra_or_package_is_an_error(wanted):
    with pytest.raises(ValueError, match=wanted[-1]):
        optional_packages.install_command(*wanted)


def test_a_checkout_that_is_not_installed(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert optional_packages.install_command("onnx") == "pip install '.[onnx]'"
    assert optional_packages.install_command("import", "torch") == "pip install torch"


def test_onnx_export_without_its_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(EnvironmentProblem) as raised:
        check_converter()
    assert optional_packages.install_command("onnx") in str(raised.value)


def test_pages_name_packages_that_can_be_installed(repo, extras):
    """The project is in no package index, so no page installs it by its name; other packages are those of an extra."""
    known = {requirement for wanted in extras.values() for requirement in wanted}
    for page in [repo / "README.md", repo / "Makefile", *(repo / "docs").rglob("*.md")]:
        text = page.read_text()
        assert "mnasnet[" not in text, page
        for command in re.findall(r"pip install (?:'[^']+' ?)+", text):
            assert _packages(command) <= known, f"{page.name}: {command}"
