"""`mnasnet search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mnasnet_cli import console
from mnasnet_cli.commands.options import (
    FreshFlag,
    JsonFlag,
    SetOption,
    check_writable,
    config_option,
    data_option,
    run_dir_option,
)
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.system.shell import words

LatencyOption = Annotated[
    list[str] | None,
    typer.Option("--latency", metavar="MS", help="Latency limit, such as 3ms; repeatable."),
]
ThreadsOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="CPU threads of an inference.", show_default="1")
]
Int8Flag = Annotated[
    bool | None, typer.Option("--int8/--float", help="Search for nets in int8 or in float.", show_default="float")
]
SizesOption = Annotated[
    str | None,
    typer.Option(
        "--image-size",
        metavar="PX[,PX]",
        help="Side of the training images, or several to choose from.",
        show_default="the recipe's",
    ),
]
InitOption = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Trained model, such as a b1, from which the nets inherit weights.")
]
BudgetOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time for the search, such as 2h; decides how many nets are drawn.")
]
CandidatesOption = Annotated[
    int | None, typer.Option(metavar="N", min=2, help="Number of nets drawn for each latency.", show_default="24")
]
SearchSeedOption = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Seed of the draws and of the trainings.", show_default="0")
]
StorageOption = Annotated[
    str | None,
    typer.Option(metavar="DIR|URL", help="Folder or PostgreSQL database through which machines share one search."),
]
AndroidOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write nets and a script that measures them on a phone; search nothing."),
]
AndroidResultsOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Search for the phone that ran the script of this folder."),
]


def search(
    data: Annotated[Path | None, data_option("data/imagenet")] = None,
    latency: LatencyOption = None,
    threads: ThreadsOption = None,
    int8: Int8Flag = None,
    image_size: SizesOption = None,
    config: Annotated[
        str | None, config_option("quick", "fast", "thorough", "paper", "finetune", "mobilenet-v2", "demo")
    ] = None,
    assignments: SetOption = None,
    init: InitOption = None,
    budget: BudgetOption = None,
    candidates: CandidatesOption = None,
    seed: SearchSeedOption = None,
    run_dir: Annotated[Path, run_dir_option("runs/search", of="search")] = Path("runs/search"),
    storage: StorageOption = None,
    android: AndroidOption = None,
    android_results: AndroidResultsOption = None,
    fresh: FreshFlag = False,
    json_output: JsonFlag = False,
) -> None:
    """Search for nets that are more accurate than the stock ones at the same latency, on your device and data.

    The same command again continues an interrupted search; started several times, it shares the work.
    """
    from mnasnet_cli.api.searching import request_of

    request = request_of(
        config, data=data, latency=latency or (), run_dir=run_dir, threads=threads, int8=int8,
        image_size=() if image_size is None else image_size, candidates=candidates, budget=budget, seed=seed, init=init,
        storage=storage, android_results=android_results, fresh=fresh, assignments=assignments or (),
    )  # fmt: skip
    if android is not None:
        _write_phone_nets(request, android, android_results, json_output)
        return
    check_writable("--run-dir", run_dir, folder=True)
    from mnasnet_cli.searching.run import search_nets

    found = search_nets(request)
    if json_output:
        console.emit_json({"run_dir": str(run_dir), **found.outcome})
        return
    _print(found)


def _write_phone_nets(request: Any, folder: Path, results: Path | None, json_output: bool) -> None:
    from mnasnet_cli.latency.android import SCRIPT_FILE
    from mnasnet_cli.searching.opening import settings_for_phone
    from mnasnet_cli.searching.phones import write_phone_nets

    if results is not None:
        raise ConfigError("--android writes nets to measure, --android-results reads the results; use one of them")
    check_writable("--android", folder, folder=True)
    files = write_phone_nets(settings_for_phone(request), folder)
    if json_output:
        console.emit_json({"folder": folder, "script": folder / SCRIPT_FILE, "models": files})
    console.say(
        f"{len(files)} nets in {folder}; connect a phone, run {folder / SCRIPT_FILE}, then search with "
        f"`{words('--android-results', folder)}`"
    )


def _print(found: Any) -> None:
    from mnasnet_cli.screen import next_steps
    from mnasnet_cli.searching.outcome import COLUMNS, busy_note, legend, table_rows

    for front in found.outcome["fronts"]:
        console.print_table(
            f"Nets within {front['limit_ms']:g} ms on {found.outcome['device']}", COLUMNS, table_rows(front),
            caption=legend(found.outcome),
        )  # fmt: skip
        console.emit_text(front["verdict"] + "\n")
    if note := busy_note(found.outcome):
        console.warn(note)
    names = "front.json, front.png, card.html, net-*.yaml"
    console.emit_text(f"Everything is in {found.run_dir}: {names}.\n")
    next_steps.show(found.commands)
