"""The leaderboard: several runs in one table, what differs between their configurations, and plots."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnasnet_cli.cards.content import millions
from mnasnet_cli.cards.facts import METRIC_NAMES, RunFacts, read_facts
from mnasnet_cli.config.task_names import MODEL_KINDS
from mnasnet_cli.console import duration, percent
from mnasnet_cli.errors import DataError, MnasnetError
from mnasnet_cli.pages import html
from mnasnet_cli.pages.charts import Series, draw_chart
from mnasnet_cli.runs.run_files import CONFIG_FILE

USUAL = "(most runs)"
DEPTH = 4  # folders below a given one in which runs are looked for
# Keys that have a column of their own.
OWN_COLUMNS = ("task", "model.variant", "model.width", "data.image_size", "training.epochs")
COLUMNS = (
    "run", "state", "task", "net", "variant", "width", "image_size", "epochs", "epochs_done", "metric", "last", "best",
    "seconds", "params", "multiply_adds", "latency_ms", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Leaderboard:
    """Runs, the best first; detectors after classifiers, unreadable runs last.

    Attributes:
      rows: one dict for each run with the keys COLUMNS, and `differs`: key → value, for the keys that differ among the
        runs of its task. Of a damaged run only `run`, `state` and `reason` are known, the others are None.
    """

    rows: Sequence[Mapping[str, Any]]

    @property
    def keys(self) -> list[str]:
        """The keys that differ, in the order of the configuration."""
        return list(dict.fromkeys(key for row in self.rows for key in row["differs"]))

    def of_task(self, task: str) -> list[Mapping[str, Any]]:
        """Return the readable runs of a task."""
        return [row for row in self.rows if row["task"] == task]

    @property
    def damaged(self) -> list[Mapping[str, Any]]:
        """The runs that can't be read."""
        return [row for row in self.rows if row["state"] == "damaged"]


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Return the runs that the folders are or hold, in alphabetical order of each folder.

    Raises:
      DataError: a folder does not exist.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder; name runs, or a folder that holds runs")
        for run in _walk(folder, DEPTH):
            found.setdefault(run.resolve(), run)
    return list(found.values())


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / CONFIG_FILE).is_file():
        yield folder
        return
    if depth == 0:
        return
    try:
        below = sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:  # not readable
        return
    for one in below:
        if not one.name.startswith("."):
            yield from _walk(one, depth - 1)


def compare_runs(runs: Sequence[Path]) -> Leaderboard:
    """Read the runs and rank them by their best score."""
    rows: list[dict[str, Any]] = []
    configs: dict[str, dict[str, Any]] = {}
    for run in runs:
        try:
            facts = read_facts(run)
        except (MnasnetError, OSError, ValueError) as error:
            damage = dict.fromkeys(COLUMNS) | {"run": str(run), "state": "damaged", "reason": str(error), "differs": {}}
            rows.append(damage)
            continue
        configs[str(run)] = flatten(facts.config.comparable())
        rows.append(_row(facts))
    for task in MODEL_KINDS:
        own = [row for row in rows if row["task"] == task]
        different = _differing_keys([configs[row["run"]] for row in own])
        for row in own:
            row["differs"] = {key: configs[row["run"]].get(key) for key in different}
    order = [*MODEL_KINDS, None]
    rows.sort(key=lambda row: (order.index(row["task"]), row["best"] is None, -(row["best"] or 0.0)))
    return Leaderboard(rows)


def _row(facts: RunFacts) -> dict[str, Any]:
    params, multiply_adds = facts.cost
    model = facts.config.model
    return {
        "run": str(facts.path),
        "state": facts.state,
        "task": facts.config.task,
        "net": facts.net,
        "variant": model.variant,
        "width": model.width,
        "image_size": facts.config.eval_size,
        "epochs": facts.config.training.epochs,
        "epochs_done": facts.epochs_done,
        "metric": facts.metric,
        "last": facts.final,
        "best": facts.best,
        "seconds": facts.seconds,
        "params": params,
        "multiply_adds": multiply_adds,
        "latency_ms": facts.latency,
        "reason": None,
        "differs": {},
    }


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as dotted key → value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for config in configs for key in config)
    return [
        key for key in keys if key not in OWN_COLUMNS and any(one.get(key) != configs[0].get(key) for one in configs)
    ]


def tables(board: Leaderboard) -> list[tuple[str, Sequence[str], Sequence[Sequence[Any]]]]:
    """Return (title, columns, rows) of the tables for a terminal: scores, cost, settings and damaged runs."""
    found: list[tuple[str, Sequence[str], Sequence[Sequence[Any]]]] = []
    for task, kind in MODEL_KINDS.items():
        rows = board.of_task(task)
        if not rows:
            continue
        name, short = METRIC_NAMES[task], _short_names([row["run"] for row in rows])
        found.append(
            (f"{kind.capitalize()}s by {name}", ("run", "net", "px", "epochs", f"{name}, last", "best"),
             [(row["run"], row["net"], row["image_size"], epochs(row), percent(row["last"]), percent(row["best"]))
              for row in rows])
        )  # fmt: skip
        found.append(
            (f"Cost of the {kind}s", ("run", "time", "parameters", "multiply-adds", "latency"),
             [(short[row["run"]], time_of(row), millions(row["params"]), millions(row["multiply_adds"]),
               milliseconds(row)) for row in rows])
        )  # fmt: skip
        if settings := differing_settings(rows):
            found.append((f"Settings that differ between the {kind}s", ("run", "settings"), settings))
    if board.damaged:
        found.append(
            ("Runs that can't be read", ("run", "reason"), [(row["run"], row["reason"]) for row in board.damaged])
        )
    return found


def epochs(row: Mapping[str, Any]) -> str:
    """Return the epochs as text: "5", or "3 of 20" where the training did not reach the last one."""
    return str(row["epochs"]) if row["state"] == "finished" else f"{row['epochs_done']:.3g} of {row['epochs']}"


def time_of(row: Mapping[str, Any]) -> str:
    """Return the time of the training as text."""
    return "n/a" if row["seconds"] is None else duration(row["seconds"])


def milliseconds(row: Mapping[str, Any]) -> str:
    """Return the latency as text."""
    return "n/a" if row["latency_ms"] is None else f"{row['latency_ms']:.2f} ms"


def to_csv(board: Leaderboard) -> str:
    """Return all rows; the keys that differ are the last columns. Unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *board.keys])
    for row in board.rows:
        writer.writerow([*(row[column] for column in COLUMNS), *(row["differs"].get(key) for key in board.keys)])
    return text.getvalue()


def to_html(board: Leaderboard, title: str) -> str:
    """Return the leaderboard as a page with plots of accuracy over cost."""
    sections: list[str] = []
    for task, kind in MODEL_KINDS.items():
        if rows := board.of_task(task):
            sections += _task_sections(rows, f"{kind.capitalize()}s", METRIC_NAMES[task])
    if board.damaged:
        listed = [(row["run"], row["reason"]) for row in board.damaged]
        sections += ["<h2>Runs that can't be read</h2>", html.table(("run", "reason"), listed)]
    if not board.rows:
        sections.append(html.paragraph("There are no runs."))
    return html.render_page(title, sections)


def _task_sections(rows: Sequence[Mapping[str, Any]], title: str, metric: str) -> list[str]:
    scored = [row for row in rows if row["best"] is not None]
    charts = []
    for key, label, scale in (("multiply_adds", "multiply-adds, M", 1e-6), ("latency_ms", "median latency, ms", 1.0)):
        known = [row for row in scored if row[key] is not None]
        charts.append(
            draw_chart(f"best {metric} over {label.partition(',')[0]}", _by_net(rows, known, key, scale), x_label=label,
                       y_label=f"{metric}, %")
        )  # fmt: skip
    columns = (
        "run",
        "net",
        "px",
        "epochs",
        f"{metric}, last",
        "best",
        "time",
        "parameters",
        "multiply-adds",
        "latency",
    )
    cells = [
        (row["run"], row["net"], row["image_size"], epochs(row), percent(row["last"]), percent(row["best"]),
         time_of(row), millions(row["params"]),
         millions(row["multiply_adds"]), milliseconds(row))
        for row in rows
    ]  # fmt: skip
    drawn = "\n".join(chart for chart in charts if chart)
    parts = [f"<h2>{title}</h2>", f'<div class="charts">\n{drawn}\n</div>' if drawn else "", html.table(columns, cells)]
    if scored and not charts[1]:
        parts.append(
            html.paragraph("No latency was measured; `mnasnet benchmark … --out RUN/latency` does it.", "note")
        )
    if settings := differing_settings(rows):
        parts += [
            "<h3>Settings that differ</h3>",
            html.table(("run", "settings"), [(html.Whole(run), text) for run, text in settings]),
        ]
    return parts


def _by_net(
    rows: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]], key: str, scale: float
) -> list[Series]:
    """Return the known points of each net. All charts have all nets of `rows`, so that colors are the same."""
    nets, names = dict.fromkeys(row["net"] for row in rows), _short_names([row["run"] for row in rows])
    series = []
    for net in nets:
        own = [row for row in known if row["net"] == net]
        points = [(row[key] * scale, 100 * row["best"]) for row in own]
        series.append(Series(net, points, [names[row["run"]] for row in own], dots=True))
    return series


def differing_settings(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (end of the run's path, its settings that are not the usual ones), and the usual ones as the first row.

    The usual value of a key is the one that most of the runs have; of several, that of the best run. Without a key that
    differs, the result is empty.

    Args:
      rows: of one task, the best run first.
    """
    settings = [{key: _setting(value) for key, value in row["differs"].items()} for row in rows]
    if not settings or not settings[0]:
        return []
    usual = {key: Counter(one[key] for one in settings).most_common(1)[0][0] for key in settings[0]}
    own = [", ".join(f"{key}={value}" for key, value in one.items() if value != usual[key]) for one in settings]
    return [
        (USUAL, ", ".join(f"{key}={value}" for key, value in usual.items())),
        *zip(_short_names([row["run"] for row in rows]).values(), (text or "the same" for text in own), strict=True),
    ]


def _setting(value: Any) -> str:
    """Return a value as `--set` takes it, without blanks."""
    return json.dumps(value, separators=(",", ":")) if not isinstance(value, str) else value


def _short_names(runs: Sequence[str]) -> dict[str, str]:
    """Return the shortest end of each path that no other run has."""
    names = {}
    for run in runs:
        parts = Path(run).parts
        ends = ("/".join(parts[-count:]) for count in range(1, len(parts)))
        names[run] = next((end for end in ends if sum(f"/{other}".endswith(f"/{end}") for other in runs) == 1), run)
    return names
