"""A run's page: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import yaml

from mnasnet_cli.cards import content
from mnasnet_cli.cards.content import Section
from mnasnet_cli.cards.facts import RunFacts
from mnasnet_cli.console import percent
from mnasnet_cli.pages import html
from mnasnet_cli.pages.charts import Series, draw_chart, draw_matrix
from mnasnet_cli.pages.html import escape

MATRIX_CLASSES = 40  # of more classes, the most frequent confusions are listed
CONFUSIONS = 30
OPEN_ROWS = 40  # longer tables are folded


def render_page(facts: RunFacts) -> str:
    """Return the page as HTML text. Names and paths are escaped."""
    kind = "Classifier" if facts.config.task == "classification" else "Detector"
    sections = [
        html.paragraph(content.summary_sentence(facts)),
        html.tiles(content.headline(facts)),
        _curves(facts),
        _section(content.results_section(facts)),
        _section(content.classes_section(facts)),
        _confusion(facts),
        _precision_recall(facts),
        _pictures(facts),
        _section(content.net_section(facts)),
        _section(content.recipe_section(facts)),
        html.fold("The whole configuration", html.code_block(yaml.safe_dump(dict(facts.stored), sort_keys=False))),
        *map(_section, (content.data_section(facts), content.exports_section(facts), content.latency_section(facts),
                        content.machine_section(facts), content.commands_section(facts))),
    ]  # fmt: skip
    return html.render_page(f"{kind} {facts.path.absolute().name}", sections)


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", *map(html.paragraph, section.texts)]
    for table in section.tables:
        if table.columns == content.KEY_VALUE:
            parts.append(html.key_values([(name, value) for name, value in table.rows]))
            continue
        drawn = html.table(table.columns, table.rows)
        parts.append(html.fold(f"{len(table.rows)} rows", drawn) if len(table.rows) > OPEN_ROWS else drawn)
    if section.code:
        parts.append(html.code_block(section.code))
    parts += [html.paragraph(note, "note") for note in section.notes]
    return "\n".join(parts)


def _curves(facts: RunFacts) -> str:
    lines = {split: [line for line in facts.metrics if line.get("split") == split] for split in ("train", "validation")}

    def points(split: str, key: str, scale: float = 1.0) -> list[tuple[float, float]]:
        rows = [(line.get("epoch"), cast(Mapping[str, Any], line).get(key)) for line in lines[split]]
        return [(epoch, scale * value) for epoch, value in rows if epoch is not None and value is not None]

    losses = [Series(split, points(split, "loss")) for split in lines if points(split, "loss")]
    metrics = {"top1": "top-1", "top5": "top-5"} if facts.metric == "top1" else {"AP": "AP", "AP50": "AP50"}
    scores = [Series(name, points("validation", key, 100)) for key, name in metrics.items()]
    rates = [Series("learning rate", points("train", "learning_rate"))]
    charts = [
        draw_chart("loss", losses, x_label="epoch", spread=True),
        draw_chart("validation, %", [one for one in scores if one.points], x_label="epoch"),
        draw_chart("learning rate", rates, x_label="epoch"),
    ]
    drawn = "\n".join(chart for chart in charts if chart)
    if not drawn:
        return "<h2>Curves</h2>\n" + html.paragraph("The run has no metrics yet.", "note")
    return f'<h2>Curves</h2>\n<div class="charts">\n{drawn}\n</div>'


def _confusion(facts: RunFacts) -> str:
    found = facts.evaluation
    title = "<h2>Confusions</h2>\n"
    if not found or "confusion" not in found:
        hint = f"The run holds no predictions by image; {content.evaluate_hint(facts)} makes the confusion matrix."
        return title + html.paragraph(hint, "note")
    names = _unique_names(found["classes"])
    detects = facts.config.task == "detection"
    cells = {(row, column): count for row, column, count in found["confusion"]}
    text = "Rows are the true classes, columns the predicted ones."
    if detects:
        text = (
            "Rows are the annotated classes, columns the detected ones, at an IoU of at least 0.5 and a score of at "
            f"least {found['score_threshold']:.2f}. The last row counts detections of nothing, the last column "
            "objects that were missed."
        )
    rows, columns = ([*names, "nothing"], [*names, "missed"]) if detects else (names, names)
    if len(names) <= MATRIX_CLASSES:
        counts = [[cells.get((row, column), 0) for column in range(len(columns))] for row in range(len(rows))]
        return title + html.paragraph(text) + draw_matrix(counts, rows, columns, "true ↓, predicted →")
    wrong = sorted(((count, row, column) for (row, column), count in cells.items() if row != column), reverse=True)
    listed = [(rows[row], columns[column], count) for count, row, column in wrong[:CONFUSIONS]]
    said = f"The {len(listed)} most frequent of {len(wrong):,} kinds of confusions."
    return title + html.paragraph(said) + html.table(("true", "predicted", "count"), listed)


def _precision_recall(facts: RunFacts) -> str:
    curves = facts.evaluation and facts.evaluation.get("curves")
    if not curves:
        return ""
    detects = facts.config.task == "detection"
    lines = {
        f"IoU {name.replace(':', ' to ')}" if detects else name: zip(curves["recall"], values, strict=True)
        for name, values in curves["precision"].items()
    }
    series = [Series(name, [point for point in line if detects or point[1] > 0]) for name, line in lines.items()]
    of = "mean of all classes" if detects else "by confidence"
    chart = draw_chart(
        f"precision over recall, {of}", series, x_label="recall", y_label="precision", x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
    )  # fmt: skip
    text = "" if detects else html.paragraph(
        "Only answers from some confidence on count. Precision is the share of right ones among them, recall the share "
        "of right answers among all images."
    )  # fmt: skip
    return f"<h2>Precision and recall</h2>\n{text}{chart}"


def _pictures(facts: RunFacts) -> str:
    found = facts.evaluation and facts.evaluation.get("pictures")
    if not found:
        return ""
    detects = facts.config.task == "detection"
    titles: dict[Literal["best", "worst"], str] = {"best": "Best images", "worst": "Worst images"}
    parts = []
    for kind, title in titles.items():
        figures = "\n".join(_figure(one, detects) for one in found.get(kind) or ())
        if figures:
            style = "pictures large" if detects else "pictures"
            parts.append(f'<h2>{title}</h2>\n{_key(detects, kind)}\n<div class="{style}">\n{figures}\n</div>')
    return "\n".join(parts)


def _key(detects: bool, kind: str) -> str:
    if detects:
        return html.paragraph("Annotations are green, correct detections blue, wrong ones orange, crowds yellow.")
    loss = "lowest loss among the right answers" if kind == "best" else "highest loss"
    return html.paragraph(f"The images with the {loss}.")


def _figure(one: Mapping[str, Any], detects: bool) -> str:
    if detects:
        counts = f"{one['annotated']} annotated, {one['correct']} correct, {one['wrong']} wrong"
        name, text = f"F1 {one['f1']:.2f}", counts
    else:
        name, text = str(one["true"]), percent(one["confidence"])
        if one["true"] != one["predicted"]:
            text = f"taken for {one['predicted']}, {text}"
    text = text.replace(" %", "\u00a0%")
    source = f"data:image/jpeg;base64,{escape(one['jpeg'])}"
    file = html.breakable(str(one["file"]))
    image = f'<img alt="{escape(str(one["file"]))}" src="{source}">'
    return f"<figure>{image}<figcaption><b>{escape(name)}</b>{escape(text)}<br>{file}</figcaption></figure>"


def _unique_names(classes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the name of each class; where two classes have the same name, with the class."""
    names = [str(row["name"]) for row in classes]
    return [
        name if names.count(name) == 1 else f"{name} ({row['class']})" for name, row in zip(names, classes, strict=True)
    ]
