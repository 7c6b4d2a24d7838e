"""`mnasnet runs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import JsonFlag, check_writable
from mnasnet_cli.errors import ConfigError, nearest

if TYPE_CHECKING:
    from mnasnet_cli.cards.leaderboard import Leaderboard

FORMATS = ("table", "csv", "json", "html")


def runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Runs, or folders that hold runs.", show_default="runs"),
    ] = None,
    format: Annotated[str, typer.Option(metavar="|".join(FORMATS), help="Form of the output.")] = "table",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File for csv, json or html.", show_default="standard output")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Compare runs: accuracy, cost and time of each, the best first, and the settings that differ.

    Unfinished runs show how far they are, and damaged ones what is wrong. HTML also has plots of accuracy over
    multiply-adds and over latency, where `mnasnet benchmark --out RUN/latency` measured one.
    """
    from mnasnet_cli.cards import leaderboard
    from mnasnet_cli.system.files import make_folder, write_atomically

    format = "json" if json_output else format
    if format not in FORMATS:
        raise ConfigError(f"--format {format}: there are {', '.join(FORMATS)}{nearest(format, FORMATS)}")
    if out is not None and format == "table":
        raise ConfigError("--out is for files; add --format csv, json or html")
    check_writable("--out", out)
    folders = folders or [Path("runs")]
    board = leaderboard.compare_runs(leaderboard.find_runs(folders))
    if format == "table":
        _print(board)
        return
    if format == "json":
        text = console.to_json({"runs": board.rows, "differing_keys": board.keys}) + "\n"
    elif format == "csv":
        text = leaderboard.to_csv(board)
    else:
        text = leaderboard.to_html(board, f"Runs in {', '.join(map(str, folders))}")
    if out is None:
        console.emit_text(text)
        return
    make_folder(out.parent)
    write_atomically(out, text)
    console.say(f"wrote {out}")


def _print(board: Leaderboard) -> None:
    from mnasnet_cli.cards.leaderboard import tables

    for title, columns, rows in tables(board):
        console.print_table(title, columns, rows)
    if not board.rows:
        console.say("there are no runs here; `mnasnet train-imagenet` and `mnasnet train-coco` make them")
