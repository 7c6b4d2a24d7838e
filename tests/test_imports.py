"""Imports: commands start without TensorFlow, and the drop-in imports only TensorFlow and TF-Slim."""

from __future__ import annotations

import ast
import subprocess
import sys

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

RUN_COMMANDS = """
import sys
from mnasnet_cli.app import app
for words in {commands!r}:
    try:
        app(words)
    except SystemExit as exit:
        assert not exit.code, (words, exit.code)
    assert not {{"tensorflow", "tf_slim"}} & set(sys.modules), words
"""
IMPORT = """
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
    assert not {{"tensorflow", "tf_slim"}} & set(sys.modules), name
"""


def run_in_new_process(code: str) -> None:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_list_of_commands_imports_none_of_them():
    heavy = [*{f"mnasnet_cli.commands.{module}" for module in COMMANDS.values()}, "numpy", "pydantic"]
    none_of_them = f"assert sys.modules.keys().isdisjoint({heavy!r})"
    run_in_new_process(RUN_COMMANDS.format(commands=[["--help"]]) + none_of_them)


def test_help_and_report_do_not_import_tensorflow(tmp_path):
    from detection_cases import noisy_case, write

    report = ["report", *map(str, write(tmp_path, *noisy_case(3, 5))), "--plots", str(tmp_path), "--json"]
    commands = [["--help"], ["models"], ["train-imagenet", "--help"], ["eval", "--help"], report]
    run_in_new_process(RUN_COMMANDS.format(commands=commands))


def test_light_modules_do_not_import_tensorflow(repo):
    modules = [f"{name}.{path.stem}" for name in PACKAGES for path in (repo / name.replace(".", "/")).glob("*.py")]
    run_in_new_process(IMPORT.format(modules=[*MODULES, *modules]))


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
