"""What a search has found: the table, front.json and a file for each net; without times, which are never the same."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from typing_extensions import TypedDict

from mnasnet_cli import __version__
from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.console import percent, plural
from mnasnet_cli.nets.spec import count_parameters, multiply_adds
from mnasnet_cli.searching import rungs
from mnasnet_cli.searching.latency.measuring import BUSY
from mnasnet_cli.searching.nets.entrants import Entrant
from mnasnet_cli.searching.plan import Plan
from mnasnet_cli.searching.scheduler import Contest, SearchState
from mnasnet_cli.system.files import write_atomically

FRONT_FILE, PLOT_FILE, PAGE_FILE = "front.json", "front.png", "card.html"


class NetRow(TypedDict):
    """A net of the last rung.

    name: "net-01" or a stock net's. file: of a found net; null for a stock net. drawn_as: its name in the search.
    latency_ms: measured as a whole, or predicted if it was not. accuracy, deviation: mean and standard deviation of the
    top-1 on the validation split over the seeds. held_out: the scores that the order of the nets comes from.
    difference: of the accuracy from that of the best stock net of the same limit.
    """

    name: str
    file: str | None
    drawn_as: str
    stock: bool
    width: float
    image_size: int
    input_size: int
    multiply_adds: int
    params: int
    latency_ms: float
    predicted_ms: float
    measured: bool
    accuracy: float
    deviation: float
    validation: list[float]
    held_out: list[float]
    difference: float


class Front(TypedDict):
    """The nets of one limit, the best first, with what is recommended."""

    limit_ms: float
    nets: list[NetRow]
    best_stock: str
    best_found: str | None
    recommended: str
    verdict: str


class Outcome(TypedDict):
    """front.json."""

    mnasnet: str
    device: str
    threads: int
    format: str
    recipe: str
    seed: int
    classes: int
    candidates: int
    epochs: list[int]
    fingerprint: str
    latency_error: float | None
    """Mean relative error of the predictions, of nets that were then measured as a whole; null where none were."""
    busy: float
    """Time on the clock over processor time when whole nets were measured; 1 on an idle machine."""
    fronts: list[Front]
    trained: list[dict[str, Any]]


def outcome_of(plan: Plan, state: SearchState) -> Outcome:
    """Return what a search that is at its end has found."""
    fronts, number = [], 0
    for contest in state.contests:
        order = rungs.ranking({name: contest.scores[-1][name] for name in contest.in_last})
        rows = []
        for name in order:
            entrant = contest.entrants[name]
            if not entrant.is_stock:
                number += 1
            rows.append(_row(plan, contest, entrant, name if entrant.is_stock else f"net-{number:02d}"))
        fronts.append(_front(contest.limit_ms, rows))
    trained = [
        {"limit_ms": contest.limit_ms, "name": name, "scores": [s.get(name) for s in contest.scores if name in s]}
        for contest in state.contests
        for name in contest.entrants
    ]
    return Outcome(
        mnasnet=__version__,
        device=plan.device,
        threads=plan.threads,
        format=plan.format,
        recipe=plan.recipe,
        seed=plan.seed,
        classes=plan.classes,
        candidates=state.candidates or 0,
        epochs=[rung.epochs for rung in plan.rungs],
        fingerprint=plan.fingerprint,
        latency_error=fmean(state.latency_errors) if state.latency_errors else None,
        busy=round(state.busy, 2),
        fronts=fronts,
        trained=trained,
    )


def _row(plan: Plan, contest: Contest, entrant: Entrant, name: str) -> NetRow:
    validation = contest.validation[entrant.name]
    measured = entrant.measured_ms is not None
    latency = entrant.measured_ms if entrant.measured_ms is not None else entrant.solved.predicted_ms
    return NetRow(
        name=name,
        file=None if entrant.is_stock else f"{name}.yaml",
        drawn_as=entrant.name,
        stock=entrant.is_stock,
        width=entrant.solved.width,
        image_size=entrant.image_size,
        input_size=entrant.input_size,
        multiply_adds=multiply_adds(entrant.spec, entrant.input_size, plan.classes),
        params=count_parameters(entrant.spec, plan.classes),
        latency_ms=round(latency, 4),
        predicted_ms=round(entrant.solved.predicted_ms, 4),
        measured=measured,
        accuracy=fmean(validation),
        deviation=_deviation(validation),
        validation=validation,
        held_out=contest.scores[-1][entrant.name],
        difference=0.0,
    )


def _deviation(values: list[float]) -> float:
    """Return the standard deviation, 0 for one value."""
    mean = fmean(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / max(len(values) - 1, 1))


def _front(limit_ms: float, rows: list[NetRow]) -> Front:
    """Return the rows of a limit with what is recommended. `rows` are in the order of their held-out scores."""
    stock = [row for row in rows if row["stock"]]
    found = [row for row in rows if not row["stock"]]
    # The best of the stock nets on the validation split itself, which favours them.
    best_stock = max(stock, key=lambda row: row["accuracy"])
    for row in rows:
        row["difference"] = row["accuracy"] - best_stock["accuracy"]
    best = found[0] if found else None
    better = best is not None and best["difference"] > 0
    return Front(
        limit_ms=limit_ms,
        nets=rows,
        best_stock=best_stock["name"],
        best_found=best["name"] if best else None,
        recommended=best["name"] if best and better else best_stock["name"],
        # Of all nets: two seeds of one say little about it.
        verdict=_verdict(limit_ms, best, best_stock, rungs.seed_deviation([row["validation"] for row in rows])),
    )


def _verdict(limit_ms: float, best: NetRow | None, stock: NetRow, deviation: float) -> str:
    """Return in words whether the found net is better than the best stock net; `deviation`: between seeds."""
    stock_name = f"{stock['name']} at width {stock['width']:g}"
    if best is None:
        return f"{limit_ms:g} ms: no net was found; take {stock_name} ({percent(stock['accuracy'])})"
    points = 100 * best["difference"]
    if points <= 0:
        return (
            f"{limit_ms:g} ms: no found net is better than the best stock net; take {stock_name} "
            f"({percent(stock['accuracy'])}; the best found net has {percent(best['accuracy'])})"
        )
    seeds = len(best["validation"])
    noise = 100 * deviation * math.sqrt(2 / seeds)
    certain = "" if points > 2 * noise else f", which is within the noise of {plural(seeds, 'seed')}"
    return (
        f"{limit_ms:g} ms: {best['name']} is {points:.1f} points better than the best stock net, {stock_name} "
        f"({percent(best['accuracy'])} and {percent(stock['accuracy'])}){certain}"
    )


def write_nets(plan: Plan, state: SearchState, outcome: Outcome, run_dir: Path) -> list[Path]:
    """Write a file for each found net, which `--variant` takes; return their paths."""
    paths = []
    for contest, front in zip(state.contests, outcome["fronts"], strict=True):
        for row in front["nets"]:
            if row["file"] is None:
                continue
            spec = dataclasses.replace(contest.entrants[row["drawn_as"]].spec, image_size=row["input_size"])
            table = NetTable.from_spec(spec, row["name"])
            latency = f"{row['latency_ms']:.2f} ms {'measured' if row['measured'] else 'predicted'}"
            head = (
                f"# Found by `mnasnet search` for {plan.device}: {latency} at {row['input_size']} px, limit "
                f"{front['limit_ms']:g} ms.\n"
                f"# {percent(row['accuracy'])} top-1 after {plan.rungs[-1].epochs} epochs, recipe {plan.recipe}.\n"
            )
            paths.append(run_dir / row["file"])
            write_atomically(paths[-1], head + table.to_yaml())
    return paths


def write_front(outcome: Mapping[str, Any], run_dir: Path) -> Path:
    """Write front.json and return its path."""
    path = run_dir / FRONT_FILE
    write_atomically(path, json.dumps(outcome, indent=2) + "\n")
    return path


def label(row: NetRow) -> str:
    """Return the name of a net in tables and pictures; the width of a found net is in its file."""
    return f"{row['name']} ×{row['width']:g}" if row["stock"] else row["name"]


def table_rows(front: Front) -> list[tuple[object, ...]]:
    """Return the table for people: one row for each net."""
    return [
        (
            label(row),
            f"{row['input_size']} px",
            f"{row['multiply_adds'] / 1e6:.0f} M"
            if row["multiply_adds"] >= 1e7
            else f"{row['multiply_adds'] / 1e6:.1f} M",
            f"{row['params'] / 1e6:.2f} M",
            f"{row['latency_ms']:.2f}",
            f"{100 * row['accuracy']:.1f} ± {100 * row['deviation']:.1f}",
            "" if row["name"] == front["best_stock"] else f"{100 * row['difference']:+.1f}".replace("-0.0", "+0.0"),
        )
        for row in front["nets"]
    ]


def legend(outcome: Outcome) -> str:
    """Return what the columns of the tables mean, in one line."""
    measured = all(row["measured"] for front in outcome["fronts"] for row in front["nets"])
    return (
        f"ms: {'measured' if measured else 'predicted'}; top-1: mean ± deviation over seeds on the validation split; "
        "points: from the best stock net; order: by the held-out images"
    )


def busy_note(outcome: Outcome) -> str | None:
    """Return a warning beside the verdicts where the machine was busy while whole nets were measured, else None."""
    if outcome["busy"] <= BUSY:
        return None
    return (
        f"the machine was busy while nets were measured: calls took up to {outcome['busy']:.1f} times their processor "
        "time. Latencies may be too high; `mnasnet benchmark` measures them again"
    )


COLUMNS = ("net", "input", "multiply-adds", "params", "ms", "top-1 %", "points")
