"""What is printed to standard output and standard error, and its format."""

from __future__ import annotations

import io
import json
import math
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mnasnet_cli import console
from mnasnet_cli.console import progress_report


def test_json_is_one_plain_object(capsys):
    console.emit_json(
        {
            "nan": math.nan,
            "inf": [math.inf, 1.5],
            "path": Path("a/b"),
            "numpy": np.float32(0.5),
            "array": np.array([[1, 2]]),
            "nested": {"x": np.float64("nan"), 3: True},
            "none": None,
        }
    )
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    assert json.loads(captured.out) == {
        "nan": None,
        "inf": [None, 1.5],
        "path": "a/b",
        "numpy": 0.5,
        "array": [[1, 2]],
        "nested": {"x": None, "3": True},
        "none": None,
    }


def test_a_table_goes_to_standard_output_unwrapped(capsys):
    long = "word " * 60
    rows = [("a1", 3_887_038, 0.75234, None), ("[red]b1[/red]", 5, math.nan, True), (long, 6, 1.0, False)]
    console.print_table("Nets [N,3]", ("name", "params", "top-1", "measured"), rows, caption="from tests")
    captured = capsys.readouterr()
    assert captured.err == ""
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in captured.out.splitlines()]
    assert ["a1", "3,887,038", "0.7523", "n/a"] in cells
    assert ["[red]b1[/red]", "5", "n/a", "yes"] in cells
    assert [long.strip(), "6", "1", "no"] in cells
    assert "Nets [N,3]" in captured.out
    assert "from tests" in captured.out


def test_a_narrow_table_folds_at_blanks_and_breaks_no_name(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    path = "runs/photographs/export/tflite-int8/model.tflite"
    console.print_table("Exports", ("file", "what"), [(path, "a sentence of many short words, " * 4)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 80
    assert any(path in line for line in lines)
    console.print_table("Exports", ("a", "b"), [(path, path)])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.count(path) == 2 for line in lines)  # wider than the terminal, but whole


def test_a_name_of_several_words_stays_on_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    console.print_table("Classes", ("name", "what"), [("fire hydrant", "found in many of the streets of a town")])
    assert "fire hydrant" in capsys.readouterr().out


def test_many_facts_about_a_few_things_are_a_column_for_each_thing(capsys):
    console.print_transposed("Boxes", ["train", "validation"], [("boxes", 1954, 555), ("in an image", "0–42", None)])
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["boxes", "1,954", "555"] in lines
    assert ["in an image", "0–42", "n/a"] in lines


def test_messages_are_folded_at_blanks_on_a_terminal_and_paths_stay_whole():
    path = "/".join(["photographs"] * 9)
    ours, theirs = pty.openpty()
    code = f"from mnasnet_cli import console; console.warn('the images of a class ' * 5 + {path!r})"
    environment = {**os.environ, "COLUMNS": "80"}
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True, env=environment)
    os.close(theirs)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", os.read(ours, 100_000).decode()).splitlines()
    os.close(ours)
    assert [len(line) <= 80 for line in lines] == [True, True, False]
    assert lines[2] == path


@pytest.mark.parametrize(("fraction", "text"), [(0.8261, "82.6 %"), (1.0, "100.0 %"), (0.0, "0.0 %"), (None, "n/a")])
def test_percent(fraction, text):
    assert console.percent(fraction) == text


def test_class_and_name_are_one_column_where_they_are_alike():
    assert console.class_columns([("cat", "cat"), ("dog", "")]) == (("class",), [("cat",), ("dog",)])
    rows = [("n01", "tench"), ("cat", "cat")]
    assert console.class_columns(rows) == (("class", "name"), rows)


def test_an_empty_table_prints(capsys):
    console.print_table("Nothing", ("a",), [])
    assert "Nothing" in capsys.readouterr().out


def test_messages_are_one_line_each_on_standard_error(capsys):
    console.say("a [N,3] tensor\n" + "long " * 50)
    console.warn("odd")
    console.fail("bad")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "a [N,3] tensor " + ("long " * 50).strip() + "\nwarning: odd\nerror: bad\n"


def test_progress_without_a_terminal_is_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress_report, "LINE_SECONDS", 0.0)
    with console.progress("writing", 10, start=2) as report:
        report.update(4, loss="1.23")
        report.update(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("writing: 4/10 images, ")
    assert lines[0].endswith("loss 1.23")
    assert " images/s, " in lines[0]
    assert " left, " in lines[0]
    assert lines[1].startswith("writing: 10/10 images, ")
    assert lines[2].startswith("writing: 8 images in 0.0 s")


def test_a_slow_job_shows_the_time_left_between_two_steps_too(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress_report, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with console.progress("measure", 4, unit="groups") as report:
        for moment, done in ((100, 1), (190, 1), (300, 1), (310, 2)):
            now[0] = float(moment)
            report.update(done)
    *lines, summary = capsys.readouterr().err.splitlines()
    assert lines == [
        "measure: 1/4 groups, 5 min 00 s left",
        "measure: 1/4 groups, 5 min 00 s left",  # though nothing was done for longer than RATE_WINDOW_SECONDS
        "measure: 1/4 groups, 7 min 30 s left",  # the step is late
        "measure: 2/4 groups, 5 min 10 s left",
    ]
    assert summary == "measure: 2 groups in 5 min 10 s"


def test_progress_prints_nothing_after_an_error(capsys):
    with pytest.raises(ValueError, match="what"), console.progress("writing", 10):
        raise ValueError("what")
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_a_bar_with_messages_above():
    code = (
        "from mnasnet_cli import console\n"
        "with console.progress('writing', 4, unit='files') as report:\n"
        "    report.update(2, loss='[x]'); console.say('between'); report.update(4)\n"
    )
    ours, theirs = pty.openpty()
    result = subprocess.run([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, check=True)
    os.close(theirs)
    screen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert result.stdout == b""
    assert "between" in screen
    assert "4/4 files" in screen
    assert "writing: 4 files in" in screen


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_duration(seconds, expected):
    assert console.duration(seconds) == expected


def test_progress_in_a_notebook_is_one_line_that_changes(monkeypatch):
    shown = []

    class Handle:
        def update(self, content, *, raw):
            shown.append(content["text/plain"])

    def display(content, *, raw, display_id):
        shown.append(content["text/plain"])
        return Handle()

    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    monkeypatch.setattr(progress_report, "NOTEBOOK_SECONDS", 0.0)
    with console.progress("train", 20) as bar:
        bar.update(10, loss="1.5")
        bar.update(20)
    assert shown[0] == "train …"
    assert shown[1].startswith("train: 10/20 images")
    assert shown[1].endswith("loss 1.5")
    assert shown[-1].startswith("train: 20 images in ")
    assert stream.getvalue() == ""
