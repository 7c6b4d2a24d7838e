"""The health of a record folder: what its dataset.json knows, and what its images say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from health_cases import collect, labelled, picture, write

from mnasnet_cli.health.examination import examine, examine_records
from mnasnet_cli.health.report import FINDINGS_SHOWN, print_findings, print_health, print_short
from mnasnet_cli.records.findings import Finding


def test_known_findings_are_not_said_again(tmp_path: Path) -> None:
    found = collect(tmp_path, train=[labelled(picture(1), 1), labelled(picture(2), 2)])
    known = Finding("suspicious", "class-with-few-images", "classes are rare", count=2)
    assert [one.message for one in examine(found, [known]).findings] == ["classes are rare"]
    assert [one.count for one in examine(found).findings] == [2]


def test_findings_of_the_preparation_are_kept(tmp_path: Path) -> None:
    records = [labelled(picture(seed), 1 + seed % 2) for seed in range(20)]
    write(tmp_path, "train", records)
    finding = {"severity": "mended", "code": "box-as-text", "message": "boxes were text", "count": 3, "later": 1}
    stored = {
        "kind": "imagenet", "classes": 2, "fingerprint": "f", "findings": [finding],
        "splits": {"train": {"examples": 20, "shard_examples": [20], "per_class": {"a": 10, "b": 10}}},
    }  # fmt: skip
    (tmp_path / "dataset.json").write_text(json.dumps(stored))
    (tmp_path / "labels.txt").write_text("a\tant\nb\tbee\n")
    health = examine_records(tmp_path)
    assert [one.code for one in health.findings] == ["box-as-text"]
    found = health.to_json()
    assert (found["kind"], found["splits"]["train"]["images"]) == ("imagenet", 20)
    assert found["classes"][1] == {"class": "b", "name": "bee", "splits": {"train": {"images": 10}}}


def test_full_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [labelled(picture(seed), 1 + seed % 25) for seed in range(30)]
    found = examine(collect(tmp_path, train=[*records, records[0]], validation=records[:2]))
    print_health("data/x", found.to_json())
    shown = capsys.readouterr().out
    for text in ("Images in data/x", "10 smallest and the 10 largest; 5 more", "images in train and validation",
                 "Oddest images", "2 images are in the train split as well", "remove the copies"):  # fmt: skip
        assert text in shown
    assert shown.index("Findings") > shown.index("Oddest images")


def test_a_report_without_findings_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_health("x", examine(collect(tmp_path, train=[labelled(picture(n), 1 + n % 2) for n in range(20)])).to_json())
    assert capsys.readouterr().out.endswith("Nothing odd was found.\n")


def test_short_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    health = examine(collect(tmp_path, train=[labelled(picture(1), 1), labelled(picture(1), 2)]))
    print_short("out", health.summary(), health.findings)
    shown = capsys.readouterr()
    assert "images of a class" in shown.out
    assert "warning: 1 picture is in more than one class" in shown.err
    assert "`mnasnet inspect out --html health.html`" in shown.err


def test_long_lists_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings("out", [Finding("mended", str(number), "boxes", count=1) for number in range(FINDINGS_SHOWN + 3)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == FINDINGS_SHOWN + 1
    assert lines[-1] == "3 more findings are in out/dataset.json"
