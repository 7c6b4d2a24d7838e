"""The programs of `docs/how-to/programs.md`, as files."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/how-to/programs.md"


def write_programs(folder: Path) -> list[str]:
    """Writes each Python program of the page under the name that the page gives it, and the Kotlin class as Net.kt.

    Returns the names of the files.
    """
    page = PAGE.read_text(encoding="utf-8")
    (kotlin,) = re.findall(r"^```kotlin\n(import.*?)^```", page, re.MULTILINE | re.DOTALL)
    programs = {"Net.kt": kotlin}
    for text in re.findall(r'^```python\n(""".*?)^```', page, re.MULTILINE | re.DOTALL):
        usage = re.match(r'"""Usage: python (\w+\.py) ', text)
        programs[usage[1] if usage else "reader.py"] = text
    for name, text in programs.items():
        (folder / name).write_text(text, encoding="utf-8")
    return sorted(programs)
