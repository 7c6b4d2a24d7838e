"""The page of a data set's health: one file, valid, escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from health_cases import boxed, collect, labelled, picture

from mnasnet_cli.health.examination import examine
from mnasnet_cli.health.page import render_page, write_page
from mnasnet_cli.records import keys

EVIL = b'<script>alert(1)</script>&".jpg'
UNCLOSED = ("meta", "img")


class Nesting(HTMLParser):
    """Fails if an element is closed that is not open, and collects the tags and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in UNCLOSED:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_page_of_images_with_classes(tmp_path: Path) -> None:
    name = {keys.FILENAME: EVIL, keys.TEXT: b"<b>cat</b>"}
    records = [labelled(picture(seed, 100 + seed, 90), 1 + seed % 2, **name) for seed in range(12)]
    health = examine(collect(tmp_path / "records", train=[*records, records[0]], validation=records[:1]))
    write_page(health, "a <folder>", tmp_path / "health.html")
    text = (tmp_path / "health.html").read_text(encoding="utf-8")
    page = Nesting(text)
    assert not {"script", "link", "b", "iframe"} & {tag for tag, _ in page.tags}
    assert EVIL.decode() in "".join(page.texts)
    assert "Health of a <folder>" in page.texts
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 1
    assert str(sources[0]).startswith("data:image/jpeg;base64,")
    assert not re.search(r"https?:|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    shown = " ".join(page.texts)
    for expected in ("1 image is in the train split as well", "bytes per pixel", "copies within train", "<b>cat</b>"):
        assert expected in shown


def test_a_page_of_boxes(tmp_path: Path) -> None:
    records = [boxed(picture(seed), [(0.1, 0.1, 0.5, 0.5)], [seed % 2 + 1]) for seed in range(4)]
    page = Nesting(render_page(examine(collect(tmp_path, train=records)), "boxes"))
    assert "under 8 px at 640 px" in page.texts
    assert "0 (0.0 %)" in page.texts


def test_a_page_without_records(tmp_path: Path) -> None:
    page = Nesting(render_page(examine(collect(tmp_path, train=[])), "nothing"))
    assert "Nothing odd was found." in page.texts
