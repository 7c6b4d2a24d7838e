"""Whether the pages agree with each other and with the program."""

from __future__ import annotations

import functools
import re

import pytest
import yaml

from mnasnet_cli import app
from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.config.schema import Config
from mnasnet_cli.nets.spec import NETS, count_parameters
from mnasnet_cli.weights.registry import WEIGHTS

FILE_ENDINGS = (".py", ".yaml", ".pb", ".tflite", ".onnx", ".pth", ".safetensors")  # `model.onnx` is a file


def _pages(repo):
    return [*sorted(repo.glob("*.md")), *sorted((repo / "docs").rglob("*.md"))]


@functools.cache
def _anchors(page):
    """The anchors of a page's headings, as code hosts and MkDocs make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere(repo):
    broken = []
    for page in _pages(repo):
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not link.startswith("https://") and not (target.exists() and (not anchor or anchor in _anchors(target))):
                broken.append(f"{page.relative_to(repo)}: {link}")
    assert not broken


def test_the_navigation_lists_every_page(repo):
    def pages_in(entry):
        values = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else []
        return [entry] if isinstance(entry, str) else [page for value in values for page in pages_in(value)]

    listed = pages_in(yaml.safe_load((repo / "mkdocs.yml").read_text())["nav"])
    assert sorted(listed) == sorted(str(page.relative_to(repo / "docs")) for page in (repo / "docs").rglob("*.md"))


def test_modules_that_the_texts_name_exist(repo):
    foreign = {"datasets/imagenet.py"}  # of TF-Slim
    missing = [
        f"{page.name}: {name}"
        for page in _pages(repo)
        for name in re.findall(r"`([\w.]+/[\w./]+\.py)`", page.read_text())
        if name not in foreign and not (repo / name).exists() and not (repo / "mnasnet_cli" / name).exists()
    ]
    assert not missing


def test_imports_in_the_texts_work(repo):
    for page in _pages(repo):
        for line in re.findall(r"^from (?:mnasnet_cli|data_prep)\b.* import .+$", page.read_text(), re.MULTILINE):
            if "import object_detection" not in line:  # needs the Object Detection API
                exec(line, {})  # an ImportError names what is missing


def test_pages_that_the_sources_name_exist(repo):
    sources = [path for folder in ("mnasnet_cli", "data_prep", "configs") for path in (repo / folder).rglob("*.*")]
    missing = [
        f"{path.relative_to(repo)}: {page}"
        for path in sources
        if path.suffix in (".py", ".yaml", ".config")
        for page in re.findall(r"docs/[\w/-]+\.md", path.read_text())
        if not (repo / page).exists()
    ]
    assert not missing


def test_the_architecture_lists_every_package(repo):
    packages = {path.parent.name for path in (repo / "mnasnet_cli").glob("*/__init__.py")}
    table = re.findall(r"^\| `(\w+)/`", (repo / "docs/explanation/architecture.md").read_text(), re.MULTILINE)
    assert packages == set(table) & packages
    assert len(table) == len(set(table))


@pytest.mark.parametrize("name", NETS)
def test_the_model_zoo_has_every_variant(repo, name):
    page = (repo / "docs/reference/model-zoo.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    assert f"| {count_parameters(NETS[name]):,} |" in row


def test_the_model_zoo_has_every_set_of_published_weights(repo):
    page = (repo / "docs/reference/model-zoo.md").read_text()
    listed = re.findall(r"^\| `([\w./-]+/[\w.-]+)`", page, re.MULTILINE)
    assert listed == [weights.name for weights in WEIGHTS]


def test_readme_lists_every_command(repo):
    listed = re.findall(r"^\| `mnasnet ([\w-]+)", (repo / "README.md").read_text(), re.MULTILINE)
    assert listed == list(app.COMMANDS)


def test_commands_in_the_texts_exist_with_their_options(repo, mnasnet):
    """Every `mnasnet …` line in a code block names a command, and options that its help shows."""
    helps = {}
    for page in _pages(repo):
        text = page.read_text().replace("\\\n", " ")
        for line in re.findall(r"^\s*(?:\$ )?mnasnet ([a-z].*)$", text, re.MULTILINE):
            name = line.split()[0]
            assert name in app.COMMANDS, f"{page.name}: {line}"
            if name not in helps:
                result = mnasnet(name, "--help")
                assert result.code == 0, result.err
                helps[name] = result.out
            for option in re.findall(r"(?<!\S)--[a-z][\w-]*", line.split("#")[0]):
                assert option in helps[name] or option == "--debug", f"{page.name}: {line}"


def _settings(tree, prefix=""):
    """The dotted keys of a nested mapping, sections included."""
    for name, value in tree.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{name}.")


def test_settings_in_the_texts_exist(repo):
    """Every `--set KEY=VALUE`, and every key of a section in backticks, is a key of the configuration."""
    tree = Config(task="detection").model_dump()
    tree["model"]["table"] = NetTable.from_spec(NETS["b1"]).model_dump()
    known = {*_settings(tree), "section.key", "detection.KEY", "KEY"}
    sections = "|".join(name for name in known if any(other.startswith(f"{name}.") for other in known))
    unknown = []
    for page in _pages(repo):
        text = page.read_text()
        named = re.findall(rf"`((?:{sections})(?:\.[a-z_0-9]+)+)(?:=[^`]*)?`", text)
        found = {*re.findall(r"--set ([\w.]+)=", text), *(key for key in named if not key.endswith(FILE_ENDINGS))}
        unknown += [f"{page.name}: {key}" for key in found - known]
    assert not unknown
