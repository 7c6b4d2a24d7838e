"""One module parses JSON and YAML, so that damage to any file is one clear error."""

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


def test_only_one_module_parses_json_and_yaml(repo: Path) -> None:
    sources = [path for package in ("mnasnet_cli", "data_prep") for path in (repo / package).rglob("*.py")]
    found = {path.relative_to(repo).as_posix() for path in sources if _PARSE.search(path.read_text())}
    assert found == set(PARSERS)
