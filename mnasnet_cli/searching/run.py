"""The whole search: opens it, runs it to the end, and writes what it has found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import StoppedByUser
from mnasnet_cli.searching.opening import Opened, Request, open_search
from mnasnet_cli.searching.outcome import PAGE_FILE, PLOT_FILE, Front, Outcome, outcome_of, write_front, write_nets
from mnasnet_cli.searching.page import draw_front, write_page
from mnasnet_cli.searching.worker import Worker
from mnasnet_cli.system.shell import command
from mnasnet_cli.system.workers import stop_on_sigterm

PHONE_FOLDER = "phone"
"""For the recommended net, to be measured on the phone of the search."""
GO_ON = "what is done is kept; the same command goes on"


@dataclass(frozen=True)
class Found:
    """A search at its end. commands: those that come next, as one would type them."""

    run_dir: Path
    outcome: Outcome
    commands: list[str]


def search_nets(request: Request) -> Found:
    """Search, or go on with a search; return what was found.

    Raises:
      ConfigError, DataError: before any work, if something contradicts or no net can meet a limit.
      Stopped: SIGTERM or Ctrl-C. The same request goes on.
    """
    try:
        with stop_on_sigterm(f"stopped by SIGTERM; {GO_ON}"):
            opened = open_search(request)
            try:
                return _search(opened)
            finally:
                opened.store.close()
    except KeyboardInterrupt:
        raise StoppedByUser(f"interrupted; {GO_ON}") from None


def _search(opened: Opened) -> Found:
    plan, run_dir = opened.plan, opened.place.run_dir
    state = Worker(plan, opened.store, opened.place, can_measure=opened.can_measure).run()
    outcome = outcome_of(plan, state)
    write_nets(plan, state, outcome, run_dir)
    draw_front(outcome, run_dir / PLOT_FILE)
    commands = _next_commands(opened, outcome)
    write_page(outcome, state.notes, commands, run_dir / PAGE_FILE)
    write_front(outcome, run_dir)  # last: a search that has it is at its end
    return Found(run_dir, outcome, commands)


def _next_commands(opened: Opened, outcome: Outcome) -> list[str]:
    """Return the commands that train what is recommended on all images, and export and measure it."""
    plan = opened.plan
    commands: list[str] = []
    for front in outcome["fronts"]:
        net = recommended_net(front, opened.place.run_dir)
        variant = ["--variant", net["variant"], *(["--width", f"{net['width']:g}"] if net["width"] else [])]
        recipe = ["--config", plan.recipe, *(word for one in plan.assignments for word in ("--set", one))]
        # Its own: two limits may recommend the same variant, of which there may be a run already.
        run = opened.place.run_dir / f"trained-{front['limit_ms']:g}ms"
        on_phone = ["--android", opened.place.run_dir / PHONE_FOLDER] if plan.phone_nets else []
        threads = ["--threads", plan.threads] if plan.threads > 1 else []
        trained = [*variant, "--image-size", net["image_size"], *recipe, "--data", plan.data, "--run-dir", run]
        commands += [
            command("train-imagenet", *trained),
            command("export", run, "--format", plan.format, "--data", plan.data),
            command("benchmark", run / "export" / plan.format, *threads, *on_phone),
        ]
    return commands


def recommended_net(front: Front, run_dir: Path) -> dict[str, Any]:
    """Return the variant, width and training image size (px) of the recommended net; a found net has its width."""
    (row,) = [row for row in front["nets"] if row["name"] == front["recommended"]]
    found = row["file"] is not None
    return {
        "variant": str(run_dir / str(row["file"])) if found else row["name"],
        "width": None if found else row["width"],
        "image_size": row["image_size"],
    }
