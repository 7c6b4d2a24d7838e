"""The sections of a run's page and model card as text, tables and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnasnet_cli.cards.facts import METRIC_NAMES, RunFacts
from mnasnet_cli.config.task_names import MODEL_KINDS
from mnasnet_cli.console import duration, percent, plural
from mnasnet_cli.metrics.coco_report import MEANINGS
from mnasnet_cli.records.findings import Finding
from mnasnet_cli.system.shell import command

KEY_VALUE = ("", "value")  # the columns of a table that needs no head
CLASS_ROWS = 200  # classes of larger data sets: those with the lowest scores


@dataclass(frozen=True)
class Table:
    """A table with its column titles."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Section:
    """One section: text, tables and a block of commands, in this order."""

    title: str
    texts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    code: str = ""
    notes: Sequence[str] = ()
    """What is left out, and why."""


def headline(facts: RunFacts) -> list[tuple[str, str]]:
    """Return the most important numbers as (name, value)."""
    params, multiply_adds = facts.cost
    name = METRIC_NAMES[facts.config.task]
    epochs = facts.config.training.epochs
    values = [
        (f"{name}, last", percent(facts.final)),
        (f"{name}, best", percent(facts.best)),
        ("net", f"{facts.net}, {facts.config.eval_size} px"),
        ("parameters", millions(params)),
        ("multiply-adds", millions(multiply_adds)),
        ("epochs", f"{facts.epochs_done:.3g} of {epochs}" if facts.epochs_done < epochs else str(epochs)),
        ("time", "n/a" if facts.seconds is None else duration(facts.seconds)),
    ]
    return values if facts.latency is None else [*values, ("latency, median", f"{facts.latency:.2f} ms")]


def summary_sentence(facts: RunFacts) -> str:
    """Return one sentence: what was trained on what, with which result."""
    kind, name = MODEL_KINDS[facts.config.task], METRIC_NAMES[facts.config.task]
    classes = f" of {plural(facts.classes, 'class', 'classes')}" if facts.classes else ""
    data = f", trained on {facts.data_dir}" if facts.data_dir else ""
    text = f"A {kind}{classes}: {facts.net_title} at {facts.config.eval_size} px{data}."
    if facts.final is not None:
        text += f" Its {name} on the validation split is {percent(facts.final)}."
    if facts.state == "unfinished":
        text += f" The training is not finished: {facts.epochs_done:.3g} of {facts.config.training.epochs} epochs."
    if facts.state == "stopped early":
        text += f" The training stopped early, after {facts.epochs_done:.3g} of {facts.config.training.epochs} epochs."
    return text


def results_section(facts: RunFacts) -> Section:
    """Return the numbers of the last evaluation."""
    results = facts.results or {}
    names = {"top1": "top-1", "top5": "top-5"}
    if facts.config.task == "detection":
        names = {key: f"{key}: {meaning}" for key, meaning in MEANINGS.items()}
    rows = [(name, percent(results.get(key))) for key, name in names.items() if key in results]
    if results.get("loss") is not None:
        rows.append(("loss", f"{results['loss']:.4g}"))
    images = results.get("examples", results.get("images"))
    texts = [f"{images:,} images of the validation split, step {results.get('steps', 0):,}."] if images else []
    notes = [] if rows else ["The training is not finished, so there are no final numbers."]
    return Section("Results", texts, [Table(KEY_VALUE, rows)] if rows else [], notes=notes)


def classes_section(facts: RunFacts) -> Section:
    """Return the scores by class."""
    found = facts.evaluation
    detects = facts.config.task == "detection"
    title = "AP by class" if detects else "Accuracy by class"
    rows = (found or facts.results or {}).get("classes" if found else "per_class")
    if not isinstance(rows, list) or not rows:
        return Section(title, notes=[f"There is no evaluation of this run yet; {evaluate_hint(facts)} makes one."])
    score, count = ("AP", "annotations") if detects else ("top1", "examples")
    known = [row for row in rows if row.get(score) is not None]
    shown = known if len(known) <= CLASS_ROWS else sorted(known, key=lambda row: row[score])[:CLASS_ROWS]
    one_column = all(row["name"] == str(row["class"]) for row in shown)
    keys = {"AP": "AP", "AP50": "AP50"} if detects else {"top1": "top-1"}
    keys |= {"precision": "precision", "recall": "recall", "f1": "F1"} if found else {}
    columns = ("class", *(() if one_column else ("name",)), count, *keys.values())
    cells = [
        (
            str(row["class"]),
            *(() if one_column else (row["name"],)),
            row.get(count),
            *(percent(row.get(key)) for key in keys),
        )
        for row in shown
    ]
    texts = []
    if found and detects:
        texts = [
            f"Precision, recall and F1 are at score {found['score_threshold']:.2f}, where F1 over all images is best."
        ]
    notes = [] if found else [f"Precision, recall and F1 by class are unknown; {evaluate_hint(facts)} gives them."]
    if len(shown) < len(known):
        notes.append(f"The {CLASS_ROWS} classes of {len(known):,} with the lowest {METRIC_NAMES[facts.config.task]}.")
    if len(known) < len(rows):
        notes.append(f"{len(rows) - len(known)} classes without validation examples are left out.")
    return Section(title, texts, [Table(columns, cells)], notes=notes)


def net_section(facts: RunFacts) -> Section:
    """Return the net and its cost."""
    params, multiply_adds = facts.cost
    config = facts.config
    rows: list[tuple[str, object]] = [
        ("variant", config.model.label),
        ("width", f"{config.model.width:g}"),
        ("input", f"{config.eval_size} × {config.eval_size} px"),
        ("classes", _count(facts.classes)),
        ("parameters", _count(params)),
        ("multiply-adds per image", _count(multiply_adds)),
    ]
    if config.detection is not None:
        rows.insert(2, ("detector", config.detection.family))
    if facts.environment.get("init"):
        rows.append(("started from the weights of", facts.environment["init"]))
    if teacher := facts.environment.get("teacher"):
        training = config.training
        rows.append(("learned from the teacher", f"{teacher['model']} (SHA-256 {teacher['sha256'][:12]}…)"))
        rows.append(("its weight and temperature", f"{training.teacher_weight:g}, {training.teacher_temperature:g}"))
    notes = [] if params else ["The number of classes is unknown, and so is the cost of the net."]
    return Section("Net and cost", tables=[Table(KEY_VALUE, rows)], notes=notes)


def recipe_section(facts: RunFacts) -> Section:
    """Return how the configuration differs from its recipe."""
    name, changed = facts.recipe
    if not changed:
        return Section("Recipe", [f"The recipe {name}, without changes."])
    said = "The recipe" if name == facts.recipe_option else "The closest shipped recipe is"
    rows = [(key, _value(new), _value(old)) for key, old, new in changed]
    return Section("Recipe", [f"{said} {name}, with these changes:"], [Table(("key", "this run", name), rows)])


def data_section(facts: RunFacts) -> Section:
    """Return the data set with its fingerprint and what is odd in it."""
    rows: list[tuple[str, object]] = [("folder", facts.data_dir or "n/a"), ("fingerprint", facts.fingerprint or "n/a")]
    dataset, tables, texts = facts.dataset, [], []
    for split, one in dict(dataset.get("splits") or {}).items():
        boxes = (one.get("objects") or {}).get("boxes")
        rows.append((split, f"{one.get('examples', 0):,} images" + (f", {boxes:,} boxes" if boxes else "")))
    if dataset.get("images_in_both_splits"):
        rows.append(("validation images that were trained on", dataset["images_in_both_splits"]))
    tables.append(Table(KEY_VALUE, rows))
    findings = dataset.get("findings")
    if isinstance(findings, list):
        found = [(row.get("severity"), _finding(row)) for row in findings if isinstance(row, dict)]
        if found:
            tables.append(Table(("health", "finding"), found))
        else:
            texts.append("Nothing odd was found in the data set.")
    notes = [facts.dataset_note] if facts.dataset_note else []
    if dataset and findings is None:
        notes.append(
            f"dataset.json has no findings; `{command('inspect', facts.data_dir, '--health')}` shows what is odd."
        )
    return Section("Data set", texts, tables, notes=notes)


def exports_section(facts: RunFacts) -> Section:
    """Return the exported files with size and parity."""
    rows = []
    for manifest in facts.exports:
        parity = manifest.get("parity") or {}
        agreement = parity.get("agreement")
        rows.append(
            (
                manifest.get("format"),
                f"{manifest['bytes'] / 1e6:,.2f}",
                manifest.get("step"),
                f"{parity['difference']:.2g}" if isinstance(parity.get("difference"), int | float) else None,
                percent(agreement) if isinstance(agreement, int | float) else None,
                parity.get("on"),
            )
        )
    if not rows:
        export = command("export", facts.path)
        return Section("Exports", notes=[f"Nothing was exported yet; `{export}` writes files for phones and servers."])
    columns = ("format", "size, MB", "step", "largest difference", "agreement", "compared on")
    return Section(
        "Exports",
        ["The difference is that of the outputs from the checkpoint's; agreement is the share of equal answers."],
        [Table(columns, rows)],
    )


def latency_section(facts: RunFacts) -> Section:
    """Return the measured latencies."""
    rows = [
        (
            row.get("name"), row.get("format"), row.get("image_size"), row.get("batch_size"), row.get("threads"),
            *(f"{row[key]:.2f}" if row.get(key) is not None else None for key in ("p50_ms", "p90_ms", "p99_ms")),
        )
        for row in facts.latencies
    ]  # fmt: skip
    if not rows:
        measure = command("benchmark", facts.path / "export/tflite", "--out", facts.path / "latency")
        return Section("Latency", notes=[f"No latency was measured; `{measure}` measures an exported TFLite file."])
    columns = ("model", "format", "input, px", "batch", "threads", "p50, ms", "p90, ms", "p99, ms")
    return Section("Latency", tables=[Table(columns, rows)])


def machine_section(facts: RunFacts) -> Section:
    """Return hardware and versions."""
    environment = facts.environment
    if not environment:
        return Section("Hardware and versions", notes=["environment.json is missing or damaged."])
    rows: list[tuple[str, object]] = [
        ("system", environment.get("system")),
        ("processor", environment.get("processor")),
        ("cores", environment.get("cpus")),
        ("memory", f"{environment['memory_gb']} GB" if environment.get("memory_gb") else None),
        ("accelerators", ", ".join(map(str, environment.get("accelerators") or ())) or None),
        ("started", environment.get("started")),
        ("time", None if facts.seconds is None else duration(facts.seconds)),
        *dict(environment.get("versions") or {}).items(),
    ]
    return Section("Hardware and versions", tables=[Table(KEY_VALUE, [row for row in rows if row[1] is not None])])


def commands_section(facts: RunFacts) -> Section:
    """Return the commands that repeat the training, evaluate and export."""
    run, dataset = str(facts.path), facts.config.dataset
    data = ["--data", facts.data_dir] if facts.data_dir else []
    models = ["--init", str(facts.environment["init"])] if facts.environment.get("init") else []
    if teacher := facts.environment.get("teacher"):
        models += ["--teacher", teacher["model"]]
    lines = [
        ("train the same again", ["train-" + dataset, "--config", f"{run}/config.yaml", *models, *data,
                                  "--run-dir", f"{run}-again"]),
        ("evaluate", ["eval", f"--{dataset}-val", run, *data]),
        ("predict", ["predict", run, "IMAGE"]),
        ("export", ["export", run, *data]),
    ]  # fmt: skip
    if facts.command:
        lines.insert(0, ("this run was started by", facts.command[1:]))
    code = "\n".join(f"# {what}\n{command(*words)}" for what, words in lines)
    return Section("Commands", code=code)


def evaluate_hint(facts: RunFacts) -> str:
    """Return the command that evaluates an older run for its card, in backticks."""
    return f"`{command('card', facts.path, '--data', facts.data_dir or 'DIR')}`"


def millions(count: int | None) -> str:
    """Return a count as "4.38 M", None as "n/a"."""
    return "n/a" if count is None else f"{count / 1e6:,.2f} M" if count < 1e8 else f"{count / 1e6:,.0f} M"


def _count(value: int | None) -> str:
    return "n/a" if value is None else f"{value:,}"


def _value(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _finding(row: dict[str, Any]) -> str:
    try:
        return str(Finding(**row))
    except (TypeError, ValueError):
        return str(row.get("message", row))
