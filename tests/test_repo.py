"""What may stand in the repository, and whether its texts agree with the program."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile

import pytest

MAX_BYTES = 200_000
MAX_LINES = 400
MAX_FUNCTION_LINES = 80


def _tracked(repo):
    """Yield the files that are in the repository: those that git knows, or all in an unpacked archive."""
    result = subprocess.run(["git", "ls-files", "-z"], cwd=repo, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip("not a git checkout")
    return [repo / name for name in result.stdout.split("\0") if name and (repo / name).is_file()]


def _sources(repo):
    return sorted([*(repo / "mnasnet_cli").rglob("*.py"), *(repo / "data_prep").rglob("*.py")])


def test_no_large_file(repo):
    large = {str(path): path.stat().st_size for path in _tracked(repo) if path.stat().st_size > MAX_BYTES}
    assert not large


def test_no_absolute_path_and_no_package_host(repo):
    # A path of somebody's machine, or a package index other than the default one, works for nobody else.
    forbidden = re.compile(r"(?<![\w.])/(?:home|root|work|Users|opt)/\w|--(?:extra-)?index-url|--find-links|file://")
    found = []
    for path in _tracked(repo):
        if path == repo / "tests/test_repo.py":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image
        for number, line in enumerate(text.splitlines(), 1):
            if forbidden.search(line):
                found.append(f"{path.relative_to(repo)}:{number}: {line.strip()[:100]}")
    assert not found


def test_constraints_pin_versions_and_nothing_else(repo):
    lines = [line for line in (repo / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in lines), lines
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((repo / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *extras["dev"], *extras["docs"]]:
        name = re.match(r"[\w.-]+", requirement)
        assert name, requirement
        assert name[0].lower() in pinned


def test_python_versions_agree(repo):
    requires = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["requires-python"]
    first, end = (int(number) for number in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", requires).groups())
    *others, last = (f"3.{minor}" for minor in range(first, end))
    classifiers = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["classifiers"]
    listed = [one.rpartition(" ")[2] for one in classifiers if re.search(r":: Python :: 3\.\d+$", one)]
    assert listed == [*others, last]
    text = f"Python {', '.join(others)} or {last}"
    assert text in (repo / "README.md").read_text()
    assert text in (repo / "Makefile").read_text()
    assert f"(3, {first}) <= sys.version_info < (3, {end})" in (repo / "Makefile").read_text()


def test_modules_are_short(repo):
    modules = [*_sources(repo), *(repo / "tests").rglob("*.py"), *(repo / "benchmarks").rglob("*.py")]
    long = {str(p.relative_to(repo)): n for p in modules if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert not long


def test_functions_fit_on_a_screen(repo):
    long = []
    for path in _sources(repo):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES:
                long.append(f"{path.relative_to(repo)}:{node.lineno} {node.name}")
    assert not long


@pytest.mark.parametrize(
    "pattern", ["tests/tf1/check_*.py", "tests/tf1/tf1_environment.py", "tests/peers/*.py", "tests/wheel/*.py"]
)
def test_what_scripts_take_from_the_toolkit_exists(repo, pattern):
    # They need programs that are not here, so no test runs them.
    scripts = list(repo.glob(pattern))
    assert scripts
    for script in scripts:
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mnasnet_cli"):
                exec(ast.unparse(node), {})  # an ImportError names what is missing


def test_every_module_has_annotations_from_the_future(repo):
    for path in _sources(repo):
        text = path.read_text()
        if path.name != "__init__.py":
            assert "from __future__ import annotations" in text, path


def test_make_help_lists_every_target(repo):
    text = (repo / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony
    result = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=repo, capture_output=True, text=True, check=True
    )
    assert [line.split()[1] for line in result.stdout.splitlines()] == phony[1].split()


@pytest.mark.slow
def test_the_wheel_carries_packages_and_configs_only(repo, tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=repo, check=True)
    (wheel,) = tmp_path.glob("mnasnet-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "mnasnet_cli/_configs/imagenet/paper.yaml" in names
    assert {name.split("/")[0] for name in names} - {"mnasnet_cli", "data_prep"} == {
        wheel.name.split("-py3")[0] + ".dist-info"
    }
