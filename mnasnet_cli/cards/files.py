"""Writes the page and the model card of a run."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.cards.facts import read_facts
from mnasnet_cli.cards.markdown import render_card
from mnasnet_cli.cards.page import render_page
from mnasnet_cli.runs.directory import CARD_FILE, PAGE_FILE
from mnasnet_cli.system.files import make_folder, write_atomically


def write_cards(run_dir: Path, page: Path | None = None, data: Path | None = None) -> tuple[Path, Path]:
    """Write the page and the model card; return their paths.

    Args:
      page: the HTML file, by default card.html in the run. The model card stands beside it, with the suffix .md.
      data: where the records are; None: where they were in the training.

    Raises:
      CheckpointError, ConfigError: there is no run, or its configuration is damaged.
    """
    facts = read_facts(run_dir, data)
    page = page or run_dir / PAGE_FILE
    card = page.with_name(CARD_FILE) if page.name == PAGE_FILE else page.with_suffix(".md")
    make_folder(page.parent)
    write_atomically(page, render_page(facts))
    write_atomically(card, render_card(facts))
    return page, card
