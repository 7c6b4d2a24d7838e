"""`mnasnet card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import JsonFlag, check_writable
from mnasnet_cli.errors import ConfigError


def card(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="HTML file of the page.", show_default="card.html in RUN")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the run's records, if they were moved. A run without evaluation.json is evaluated on them.",
            show_default="that of the training",
        ),
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Write a run's page (HTML) and its model card (Markdown).

    A training also writes both when it ends. The page needs no other file. Run the command again after an export or a
    measurement, which the page then shows, too.
    """
    from mnasnet_cli.cards.facts import read_facts
    from mnasnet_cli.cards.files import write_cards

    check_writable("--out", out)
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out {out}: the page is an HTML file, such as card.html; the model card stands beside it")
    facts = read_facts(run, data)
    if data is not None and facts.evaluation is None:
        from mnasnet_cli.evaluation.run_evaluation import evaluate_run

        evaluate_run(run, data, facts.config.task)
    page, markdown = write_cards(run, out, data)
    if json_output:
        console.emit_json({"run": str(run), "page": str(page), "card": str(markdown), "state": facts.state})
        return
    console.print_table(f"Page of {run}", ("", "file"), [("page", page), ("model card", markdown)])
