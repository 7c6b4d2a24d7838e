"""Imports: commands start without TensorFlow, and the drop-in imports only TensorFlow and TF-Slim."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from mnasnet_cli.app import COMMANDS

# Modules and packages that must not import TensorFlow.
MODULES = (
    "mnasnet_cli.app",
    "mnasnet_cli.console",
    "mnasnet_cli.errors",
    "mnasnet_cli.inference.manifest",
    "mnasnet_cli.metrics.coco_map",
    "mnasnet_cli.metrics.coco_report",
    "mnasnet_cli.metrics.detection_images",
    "mnasnet_cli.metrics.detection_plots",
    "mnasnet_cli.nets.spec",
)
PACKAGES = (
    "data_prep",
    "mnasnet_cli.commands",
    "mnasnet_cli.config",
    "mnasnet_cli.health",
    "mnasnet_cli.records",
    "mnasnet_cli.system",
)

RUN_COMMAND = """
from mnasnet_cli.app import app
try:
    app({arguments!r})
except SystemExit as exit:
    assert not exit.code, exit.code
"""


def imports_any(code: str, *modules: str) -> bool:
    """Run code in a new process and tell whether it has imported one of the modules."""
    code += f"\nimport sys; print(not sys.modules.keys().isdisjoint({modules!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1] == "True"


def imports_tensorflow(code: str) -> bool:
    return imports_any(code, "tensorflow", "tf_slim")


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["train-imagenet", "--help"], ["eval", "--help"]])
def test_help_does_not_import_tensorflow(arguments):
    assert not imports_tensorflow(RUN_COMMAND.format(arguments=arguments))


def test_the_list_of_commands_imports_none_of_them():
    modules = {f"mnasnet_cli.commands.{module}" for module in COMMANDS.values()}
    assert not imports_any(RUN_COMMAND.format(arguments=["--help"]), *modules, "numpy", "pydantic")


def test_report_does_not_import_tensorflow(tmp_path):
    from detection_cases import noisy_case, write

    arguments = ["report", *map(str, write(tmp_path, *noisy_case(3, 5))), "--plots", str(tmp_path), "--json"]
    assert not imports_tensorflow(RUN_COMMAND.format(arguments=arguments))


def test_light_modules_do_not_import_tensorflow(repo):
    modules = [f"{name}.{path.stem}" for name in PACKAGES for path in (repo / name.replace(".", "/")).glob("*.py")]
    assert not imports_tensorflow("\n".join(f"import {name}" for name in (*MODULES, *modules)))


def test_the_drop_in_imports_only_tensorflow_and_slim(repo):
    allowed = {"tensorflow", "tf_slim", *sys.stdlib_module_names}
    for path in sorted((repo / "mnasnet_cli/nets").glob("*.py")):
        tree = ast.parse(path.read_text(), feature_version=(3, 7))  # the newest Python of TensorFlow 1.15
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                # A relative import works in a copy of the folder under any name.
                assert node.level <= 1, f"{path.name}: {ast.unparse(node)}"
                names = [] if node.level else [str(node.module)]
            for name in names:
                assert name.split(".")[0] in allowed, f"{path.name}: {name}"


def test_no_keras(repo):
    for package in ("mnasnet_cli", "data_prep", "benchmarks"):
        for path in (repo / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute | ast.Import | ast.ImportFrom):
                    assert "keras" not in ast.unparse(node).split("(")[0], path
