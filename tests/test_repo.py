"""Rules of the repository: file sizes, modules, names, tests, versions and build files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest

MAX_BYTES = 200_000
MAX_LINES = 400
MAX_FUNCTION_LINES = 80
MAX_MODULES = 16  # in a folder


def _tracked(repo):
    """Return the files that git tracks. The test is skipped outside a checkout."""
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
    # Paths of one machine and package indexes other than the default one do not work for others.
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


def test_folders_have_few_modules(repo):
    counts = Counter(str(path.parent.relative_to(repo)) for path in _sources(repo) if path.name != "__init__.py")
    assert not {folder: count for folder, count in counts.items() if count > MAX_MODULES}


def test_package_files_contain_a_docstring_only(repo):
    for path in _sources(repo):
        if path.name == "__init__.py":
            docstring, *others = ast.parse(path.read_text()).body
            assert isinstance(docstring, ast.Expr), path
            # That of the root says where the names of the Python interface are; `console` is used by its own name.
            assert not others or path.parent in (repo / "mnasnet_cli", repo / "mnasnet_cli/console"), path


def test_tests_mirror_the_packages(repo):
    packages = {path.parent.relative_to(repo / "mnasnet_cli") for path in (repo / "mnasnet_cli").rglob("*/__init__.py")}
    folders = {path.relative_to(repo / "tests") for path in (repo / "tests").rglob("*") if any(path.glob("test_*.py"))}
    missing = {package.as_posix() for package in packages if package.parts} - {folder.as_posix() for folder in folders}
    assert not missing
    assert Path("data_prep") in folders


def test_names_of_test_modules_are_unique(repo):
    # pytest imports test modules and their helpers by their names without folders.
    names = Counter(path.name for path in (repo / "tests").rglob("*.py") if path.name != "conftest.py")
    assert not [name for name, count in names.items() if count > 1]


def _private_names(repo):
    """Return the private names of functions, methods, classes, variables and attributes of the package."""
    names = set()
    for path in _sources(repo):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.id if isinstance(node, ast.Name) else node.attr)
    names -= {"_metadata", "_replace"}  # also of PyTorch's state dicts and of named tuples
    return {name for name in names if re.match(r"_[^_]", name)}


def _used_private_names(path, private):
    """Yield the names of `private` that a module imports, accesses, or passes to setattr and the like as strings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in ("mnasnet_cli", "data_prep"):
            yield from (alias.name for alias in node.names if alias.name in private)
        elif isinstance(node, ast.Attribute) and node.attr in private:
            if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "getattr", "delattr")):
            strings = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
            yield from (text for text in strings if str(text).rpartition(".")[2] in private)


def test_tests_use_public_names_only(repo):
    private = _private_names(repo)
    scripts = [*(repo / "tests").rglob("*.py"), *(repo / "benchmarks").rglob("*.py")]
    found = {
        path.relative_to(repo).as_posix(): names
        for path in scripts
        if path != repo / "tests/test_repo.py" and (names := sorted(set(_used_private_names(path, private))))
    }
    assert not found


def test_functions_fit_on_a_screen(repo):
    long = []
    for path in _sources(repo):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES:
                long.append(f"{path.relative_to(repo)}:{node.lineno} {node.name}")
    assert not long


# What opens a file for writing, gives it a name, or leaves one in a temporary folder, and why it may. All else goes
# through mnasnet_cli/system/files.py, so that every file is whole or absent and on the disk.
WRITES_OF_THEIR_OWN = {
    "mnasnet_cli/system/files.py": "the writer",
    "mnasnet_cli/system/native_output.py open": "the null device",
    "mnasnet_cli/records/image_files/opening.py open": "the null device",
    "mnasnet_cli/integrations/label_map.py open": "the folder runs without the package; it replaces the file itself",
    "mnasnet_cli/integrations/label_map.py replace": "the folder runs without the package; it replaces the file itself",
    "mnasnet_cli/weights/download.py open": "grows over several sessions; `move_into_place` gives it its name",
    "data_prep/writing/shards.py copyfileobj": "grows piece by piece; `move_into_place` gives it its name",
    "mnasnet_cli/system/plain_paths.py symlink_to": "a link in a temporary folder",
    "data_prep/writing/shards.py open": "grows record by record; `move_into_place` gives it its name",
    "mnasnet_cli/export/saved_model.py save": "TensorFlow writes it into a staged folder",
    "mnasnet_cli/export/slim_checkpoint.py save": "TensorFlow writes it into a staged folder",
    "mnasnet_cli/export/tflite/converter.py save": "TensorFlow writes it into a temporary folder",
    "mnasnet_cli/export/state_dict.py save": "returns bytes",
    "mnasnet_cli/training/loop.py save": "calls the checkpoint manager",
    "mnasnet_cli/training/checkpoint_manager.py save": "calls the folder of checkpoints",
    "mnasnet_cli/weights/importing.py save": "calls the folder of checkpoints",
    "mnasnet_cli/searching/nets/inheritance.py save": "calls the folder of checkpoints",
}
WRITING_METHODS = (
    "write_text", "write_bytes", "savefig", "save", "savez", "savez_compressed", "savetxt", "tofile", "save_file",
    "imsave", "imwrite", "rename", "replace", "move", "copy2", "copyfile", "copytree", "copyfileobj", "symlink_to",
    "dump", "TFRecordWriter", "write_file", "create_file_writer", "mkdir", "makedirs", "touch", "TemporaryDirectory",
    "NamedTemporaryFile", "mkdtemp", "mkstemp",
)  # fmt: skip


def _writes(path):
    """Yield the calls of a module that open a file for writing or give it a name."""
    tree = ast.parse(path.read_text())
    in_memory = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).endswith("BytesIO()")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        words = [str(value.value) for value in [*node.args, *(one.value for one in node.keywords)]
                 if isinstance(value, ast.Constant)]  # fmt: skip
        if name == "open" and any(re.fullmatch(r"[rwaxbt+]*[wax+][rwaxbt+]*", word) for word in words):
            yield name
        elif name in WRITING_METHODS and isinstance(node.func, ast.Attribute):
            into = [ast.unparse(value) for value in node.args[:2]]
            other = name == "replace" and (len(node.args) != 1 or node.keywords)  # of a string, of a dataclass
            if (not other or ast.unparse(node.func) == "os.replace") and not in_memory.intersection(into):
                yield name


def test_every_file_goes_through_the_writer(repo):
    found = {f"{path.relative_to(repo).as_posix()} {name}" for path in _sources(repo) for name in _writes(path)}
    found = {one for one in found if one.split()[0] not in WRITES_OF_THEIR_OWN}
    assert found == {one for one in WRITES_OF_THEIR_OWN if " " in one}


@pytest.mark.parametrize(
    "pattern", ["tests/tf1/check_*.py", "tests/tf1/tf1_environment.py", "tests/peers/*.py", "tests/wheel/*.py"]
)
def test_scripts_import_existing_names(repo, pattern):
    # These scripts need other programs, so no test runs them.
    scripts = list(repo.glob(pattern))
    assert scripts
    for script in scripts:
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mnasnet_cli"):
                exec(ast.unparse(node), {})  # an ImportError names the missing name


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
