"""What one module does for all others: parse JSON and YAML, and write commands that a shell can read."""

from __future__ import annotations

import re
from pathlib import Path

# Modules that parse by themselves, and why.
PARSERS = {
    "mnasnet_cli/system/documents.py": "it is the reader",
    "data_prep/detection/json_stream.py": "it reads large files in parts, and handles the same errors",
    "mnasnet_cli/integrations/label_map.py": "it stands alone, and runs on Python 3.7",
}
_PARSE = re.compile(r"\bjson\.loads?\b|\bJSONDecoder\b|\byaml\.(?:safe_|full_|unsafe_)?load\b|\bjson\.decoder\b")

# A path within a command of a message; names of commands and numbers need no quotes.
_UNQUOTED = re.compile(r"`mnasnet [a-z-]+ [^`\"]*\{(?!COMMANDS|DATASETS|image_size)")


def _sources(repo: Path) -> dict[str, str]:
    """Return path → content of the modules of the packages."""
    files = [path for package in ("mnasnet_cli", "data_prep") for path in (repo / package).rglob("*.py")]
    return {path.relative_to(repo).as_posix(): path.read_text() for path in files}


def test_only_one_module_parses_json_and_yaml(repo: Path) -> None:
    """Damage to any file is then one clear error."""
    assert {path for path, content in _sources(repo).items() if _PARSE.search(content)} == set(PARSERS)


def test_commands_in_messages_are_quoted(repo: Path) -> None:
    """`mnasnet_cli.system.shell` quotes paths with blanks and brackets."""
    found = [f"{path}: {line.strip()}" for path, content in _sources(repo).items() for line in content.splitlines()
             if _UNQUOTED.search(line) and not line.lstrip().startswith(("#", '"""'))]  # fmt: skip
    assert found == []
