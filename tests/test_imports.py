"""Who imports what: commands start without TensorFlow, and the drop-in is closed."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

PURE = (
    "mnasnet_cli.app",
    "mnasnet_cli.config.loading",
    "mnasnet_cli.config.recipes",
    "mnasnet_cli.console",
    "mnasnet_cli.errors",
    "mnasnet_cli.system.machine",
    "mnasnet_cli.nets.spec",
    "mnasnet_cli.records.imagenet_example",
    "mnasnet_cli.metrics.coco_map",
    "mnasnet_cli.metrics.coco_report",
    "mnasnet_cli.metrics.detection_plots",
    "mnasnet_cli.metrics.detection_images",
)


def _tensorflow_after(code: str) -> str:
    """Run code in a new process and return "True" or "False": whether it imported TensorFlow."""
    code += "\nimport sys; print('tensorflow' in sys.modules or 'tf_slim' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["train-imagenet", "--help"], ["eval", "--help"]])
def test_a_command_that_needs_no_tensorflow_does_not_import_it(arguments):
    code = f"""
from mnasnet_cli.app import app
try:
    app({arguments!r})
except SystemExit as ended:
    assert not ended.code, ended.code
"""
    assert _tensorflow_after(code) == "False"


def test_report_needs_no_tensorflow_to_the_end(tmp_path):
    from detection_cases import noisy_case, write

    arguments = ["report", *map(str, write(tmp_path, *noisy_case(3, 5))), "--plots", str(tmp_path), "--json"]
    code = f"""
from mnasnet_cli.app import app
try:
    app({arguments!r})
except SystemExit as ended:
    assert not ended.code, ended.code
"""
    assert _tensorflow_after(code) == "False"


def test_modules_that_must_stay_light_do_not_import_tensorflow(repo):
    commands = [f"mnasnet_cli.commands.{path.stem}" for path in (repo / "mnasnet_cli/commands").glob("*.py")]
    assert _tensorflow_after("\n".join(f"import {name}" for name in (*PURE, *commands))) == "False"


def test_the_drop_in_imports_only_tensorflow_and_slim(repo):
    allowed = {"tensorflow", "tf_slim", *sys.stdlib_module_names}
    for path in sorted((repo / "mnasnet_cli/nets").glob("*.py")):
        tree = ast.parse(path.read_text(), feature_version=(3, 7))  # what TensorFlow 1.15's Python can read
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                # Relative imports stay inside the folder, whatever a copy of it is called.
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
