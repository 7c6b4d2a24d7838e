"""Imports of the integrations, and programs started with our nets registered.

The real programs run in tests/tf1, under TensorFlow 1.15.
"""

from __future__ import annotations

import ast
import sys

import pytest

from mnasnet_cli.integrations import __main__ as runner


def test_the_code_is_python_3_7_and_imports_only_the_nets(repo):
    allowed = {"tensorflow", "tf_slim", "object_detection", *sys.stdlib_module_names}
    for path in sorted((repo / "mnasnet_cli/integrations").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 7))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{node.names[0].name}"]
            for name in names:
                ours = name.startswith(("mnasnet_cli.nets", "mnasnet_cli.integrations"))
                assert ours or name.split(".")[0] in allowed, f"{path.name}: {name}"


@pytest.fixture
def slim_folder(tmp_path, monkeypatch):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets/__init__.py").touch()
    (tmp_path / "nets/nets_factory.py").write_text("networks_map, arg_scopes_map = {}, {}\n")
    (tmp_path / "program.py").write_text(
        "import sys\nfrom nets import nets_factory\nassert __name__ == '__main__'\n"
        "print(sorted(nets_factory.networks_map)[0], *sys.argv[1:])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("nets", None)  # tests/nets is a namespace package of this name
    yield tmp_path
    for name in ("nets", "nets.nets_factory"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("program", ["program", "program.py"])
def test_a_program_runs_with_our_nets(slim_folder, monkeypatch, capsys, program):
    given = str(slim_folder / program) if program.endswith(".py") else program
    monkeypatch.setattr(sys, "argv", ["integrations", given, "--model_name=mnasnet_b1"])
    runner.main()
    assert capsys.readouterr().out == "mnasnet_a1 --model_name=mnasnet_b1\n"


def test_without_slim_and_the_api(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["integrations", "program.py"])
    with pytest.raises(SystemExit, match="PYTHONPATH"):
        runner.main()


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_usage(monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["integrations", *arguments])
    with pytest.raises(SystemExit, match="usage: python -m mnasnet_cli"):
        runner.main()
