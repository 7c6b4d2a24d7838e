"""A run's model card: Markdown with the front matter of Hugging Face's hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mnasnet_cli.cards import content
from mnasnet_cli.cards.content import Section
from mnasnet_cli.cards.facts import RunFacts
from mnasnet_cli.console import visible

PIPELINES = {"classification": "image-classification", "detection": "object-detection"}
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")


def render_card(facts: RunFacts) -> str:
    """Return the model card. Names and paths are escaped."""
    front = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True)
    sections = (
        content.results_section(facts), content.classes_section(facts), content.net_section(facts),
        content.recipe_section(facts), content.data_section(facts), content.exports_section(facts),
        content.latency_section(facts), content.machine_section(facts), content.commands_section(facts),
    )  # fmt: skip
    name = _escape(facts.path.absolute().name)
    parts = [f"---\n{front}---\n\n# {name}\n\n{_escape(content.summary_sentence(facts))}"]
    parts += map(_section, sections)
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: RunFacts) -> dict[str, Any]:
    """Return the metadata; the licence and the data set's name on the hub are for the author to add."""
    pipeline = PIPELINES[facts.config.task]
    front: dict[str, Any] = {
        "library_name": "mnasnet",
        "pipeline_tag": pipeline,
        "tags": ["mnasnet", "tensorflow", "tf-slim", pipeline],
    }
    if facts.final is not None:
        classifies = facts.config.task == "classification"
        metrics = [{"type": "accuracy" if classifies else "mean_average_precision", "value": round(facts.final, 4),
                    "name": "top-1" if classifies else "AP at IoU 0.50 to 0.95"}]  # fmt: skip
        name = Path(facts.data_dir).name or "unknown"
        results = {
            "task": {"type": pipeline},
            "dataset": {"type": "imagefolder" if classifies else "coco", "name": name, "split": "validation"},
            "metrics": metrics,
        }
        front["model-index"] = [{"name": facts.path.absolute().name, "results": [results]}]
    return front


def _section(section: Section) -> str:
    parts = [f"## {section.title}", *map(_escape, section.texts)]
    parts += [_table(table.columns, table.rows) for table in section.tables]
    if section.code:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", section.code)), default=0))
        code = visible(section.code, keep="\n")
        parts.append(f"{fence}sh\n{code}\n{fence}")
    parts += [_note(note) for note in section.notes]
    return "\n\n".join(parts)


def _note(text: str) -> str:
    """Escape a note, except what stands in backticks."""
    parts = text.split("`")
    return "".join(f"`{visible(part)}`" if number % 2 else _escape(part) for number, part in enumerate(parts))


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = f"| {' | '.join(map(_cell, columns))} |\n|{'---|' * len(columns)}"
    return "\n".join([head, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _escape("n/a" if value is None else str(value))


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", visible(re.sub(r"\s+", " ", text)))
