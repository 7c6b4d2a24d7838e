"""Sources of tiny files in any layout, and what they are taken for. The files are not decoded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_prep.classification.source import ImagenetSource, find_source
from data_prep.options import Options
from mnasnet_cli.errors import ConfigError

Files = Mapping[str, str | bytes]
Contents = dict[str, dict[str, list[str]]]


def images(*names: str) -> dict[str, str]:
    """Files with a content of their own. "a/{1..3}.jpg" stands for three names."""
    found = {}
    for name in names:
        before, brace, rest = name.partition("{")
        numbers, _, after = rest.partition("}")
        first, _, last = numbers.partition("..")
        every = [f"{before}{number}{after}" for number in range(int(first), int(last) + 1)] if brace else [name]
        found |= {one: f"content of {one}" for one in every}
    return found


def write(root: Path, files: Files) -> Path:
    """Write files into a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def write_zip(path: Path, files: Files) -> Path:
    """Write files into a zip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def find(root: Path, **options: Any) -> ImagenetSource:
    """List a source; without a share for validation, unless it is asked for."""
    try:
        return find_source(root, Options(**{"val_fraction": 0, **options}))
    except ConfigError:  # it has a validation split
        return find_source(root, Options(**options))


def contents(source: ImagenetSource) -> Contents:
    """Return split → class → names of the files, without folders. Each file must hold what its name says."""
    found: Contents = {}
    for split, table in source.tables.items():
        for index in range(len(table)):
            content = table.read(index).decode()
            assert content.endswith(table.name(index)), (content, table.name(index))
            label = source.synsets[table.labels[index] - 1]
            found.setdefault(split, {}).setdefault(label, []).append(table.name(index).rpartition("/")[2])
    return found


def counted(found: Contents) -> dict[str, dict[str, int]]:
    """Return split → class → number of images."""
    return {split: {label: len(names) for label, names in classes.items()} for split, classes in found.items()}


def codes(source: ImagenetSource) -> list[str]:
    """Return the codes of the findings."""
    return [finding.code for finding in source.findings]


def csv(rows: Iterable[Iterable[str]], delimiter: str = ",") -> str:
    """Return a table as text."""
    return "".join(delimiter.join(row) + "\n" for row in rows)
