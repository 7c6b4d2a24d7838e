"""`mnasnet card`: the page and the model card of a run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from outcomes import last_error_of

from mnasnet_cli.errors import EnvironmentProblem

pytestmark = pytest.mark.usefixtures("tiny_net")

CHROMIUM = shutil.which("chromium")
WIDTHS = (1400, 400)
# Writes of each frame: the width of its content, and how many pictures and charts are wider than the frame.
MEASURE = """<script>addEventListener("load", () => {
  document.body.innerText = JSON.stringify([...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, width = page.documentElement.clientWidth;
    const seen = [...page.querySelectorAll("img, svg, h2, figcaption, .tiles div")];
    return {width, content: page.documentElement.scrollWidth, seen: seen.length, broken:
      seen.filter((one) => one.getBoundingClientRect().right > width + 1 || one.naturalWidth === 0).length};
  }));
});</script>"""
UNCLOSED = ("meta", "img", "br", "wbr")
DRAWN = ("line", "circle", "rect", "polyline")  # closed in their own tag


class Page(HTMLParser):
    """The tags and the text of a page. An element that is closed but not open fails."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in UNCLOSED:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def front_matter(card: Path) -> Any:
    text = card.read_text(encoding="utf-8")
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_a_training_ends_with_the_page_of_a_classifier(trained_run: Path) -> None:
    page = Page(trained_run / "card.html")
    assert not {"script", "link", "iframe"} & set(page.tags)
    for expected in ("Curves", "Accuracy by class", "Confusions", "Best images", "Worst images", "fingerprint", "F1",
                     "Precision and recall",
                     "recipe is quick, with these changes", "model.variant", "train the same again"):  # fmt: skip
        assert expected in page.text
    assert page.tags.count("svg") == 4
    assert page.tags.count("img") >= 8
    found = json.loads((trained_run / "evaluation.json").read_text())
    results = json.loads((trained_run / "results.json").read_text())
    right = sum(count for true, predicted, count in found["confusion"] if true == predicted)
    assert len(found["curves"]["recall"]) == len(found["curves"]["precision"]["all classes"]) == 101
    assert right / found["images"] == results["top1"] == found["numbers"]["top1"]
    assert [row["recall"] for row in found["classes"]] == [row["top1"] for row in results["per_class"]]
    front = front_matter(trained_run / "card.md")
    assert front["pipeline_tag"] == "image-classification"
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == round(results["top1"], 4)


def test_a_training_ends_with_the_page_of_a_detector(detector_run: Path) -> None:
    page = Page(detector_run / "card.html")
    for expected in ("AP by class", "Confusions", "missed", "Precision and recall", "IoU 0.50 to 0.95", "Worst images"):
        assert expected in page.text
    assert page.tags.count("svg") == 4
    found = json.loads((detector_run / "evaluation.json").read_text())
    annotated = [row["annotations"] for row in found["classes"]]
    places = range(len(annotated))
    assert annotated == [sum(count for row, _, count in found["confusion"] if row == place) for place in places]
    assert front_matter(detector_run / "card.md")["pipeline_tag"] == "object-detection"


def test_an_older_run_is_evaluated_with_data(
    mnasnet: Callable[..., Any], trained_run: Path, shape_records: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    kept = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").unlink()
    outcome = mnasnet("card", run, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json == {
        "run": str(run), "page": str(run / "card.html"), "card": str(run / "card.md"), "state": "finished",
    }  # fmt: skip
    text = Page(run / "card.html").text
    assert "Best images" not in text
    assert f"mnasnet card {run} --data {shape_records}" in text
    outcome = mnasnet("card", run, "--data", shape_records)
    assert outcome.code == 0, outcome.err
    again = json.loads((run / "evaluation.json").read_text())
    assert again["confusion"] == kept["confusion"]
    assert again["fingerprint"] == kept["fingerprint"]


def test_other_records_are_refused(
    mnasnet: Callable[..., Any], trained_run: Path, split_records: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    (run / "evaluation.json").unlink()
    outcome = mnasnet("card", run, "--data", split_records)
    assert outcome.code == 2
    assert "holds other records than" in last_error_of(outcome)
    assert not (run / "evaluation.json").exists()


def test_names_are_escaped(mnasnet: Callable[..., Any], trained_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "a <b>`|run"))
    found = json.loads((run / "evaluation.json").read_text())
    for row in found["classes"]:
        row["name"] = "<script>alert('|')</script>"
    for one in found["pictures"]["best"]:
        one["file"] = '"><script>'
    (run / "evaluation.json").write_text(json.dumps(found))
    outcome = mnasnet("card", run, "--out", tmp_path / "pages" / "one.html")
    assert outcome.code == 0, outcome.err
    page = Page(tmp_path / "pages" / "one.html")
    assert "script" not in page.tags
    card = (tmp_path / "pages" / "one.md").read_text(encoding="utf-8")
    assert "<script>" not in re.sub(r"\\.", "", card)
    rows = [line for line in card.splitlines() if "alert" in line]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 8 for row in rows)


@pytest.mark.parametrize("missing", ["results.json", "environment.json", "metrics.jsonl", "checkpoints"])
def test_what_is_missing_is_left_out(
    mnasnet: Callable[..., Any], trained_run: Path, tmp_path: Path, missing: str
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    if (run / missing).is_dir():
        shutil.rmtree(run / missing)
    else:
        (run / missing).unlink()
    outcome = mnasnet("card", run)
    assert outcome.code == 0, outcome.err
    Page(run / "card.html")


def test_wrong_arguments(mnasnet: Callable[..., Any], trained_run: Path, tmp_path: Path) -> None:
    outcome = mnasnet("card", tmp_path)
    assert outcome.code == 2
    assert "is no run" in last_error_of(outcome)
    outcome = mnasnet("card", trained_run, "--out", tmp_path / "card.pdf")
    assert outcome.code == 2
    assert "HTML file" in last_error_of(outcome)


@pytest.mark.parametrize("fault", [RuntimeError("no page today"), EnvironmentProblem("no space")])
def test_a_page_that_cannot_be_drawn_does_not_fail_the_training_but_a_full_disk_does(
    fault: Exception,
    train_imagenet: Callable[..., Any],
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")  # its training is over, so it ends without a step
    (tmp_path / "run" / "results.json").unlink()

    def broken(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr("mnasnet_cli.training.page.write_cards", broken)
    outcome = train_imagenet()
    if isinstance(fault, EnvironmentProblem):
        assert last_error_of(outcome) == "error: no space"
    else:
        assert outcome.code == 0, outcome.err
        assert "the page of the run was not written (no page today); `mnasnet card" in outcome.err
    assert (tmp_path / "run" / "results.json").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_pages_fit_wide_and_narrow_windows(
    mnasnet: Callable[..., Any], trained_run: Path, detector_run: Path, tmp_path: Path
) -> None:
    board = tmp_path / "runs.html"
    assert mnasnet("runs", trained_run, detector_run, "--format=html", "--out", board).code == 0
    pages = [trained_run / "card.html", detector_run / "card.html", board]
    frames = "".join(
        f'<iframe style="width: {width}px; border: 0" srcdoc="{escape(page.read_text(encoding="utf-8"))}"></iframe>'
        for page in pages
        for width in WIDTHS
    )
    (tmp_path / "frames.html").write_text(f"<meta charset=utf-8>{MEASURE}<body>{frames}", encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               "--dump-dom", (tmp_path / "frames.html").as_uri()]  # fmt: skip
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    body = re.search(r"<body>(.*)</body>", shown, re.DOTALL)
    assert body is not None
    found = json.loads(body[1])
    assert [one["width"] for one in found] == pytest.approx(list(WIDTHS) * len(pages), abs=20)  # a bar may need some
    assert all(one["content"] == one["width"] and one["seen"] > 2 and one["broken"] == 0 for one in found), found
