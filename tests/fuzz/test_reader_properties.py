"""Whatever a file holds, its reader returns something or raises an error for users."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzz_readers import run_case
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import targets

from data_prep.classification.label_text import read_rows
from data_prep.writing.output_folder import Journal
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.distributed.cluster import read_cluster
from mnasnet_cli.errors import MnasnetError
from mnasnet_cli.inference.manifest import parse_manifest
from mnasnet_cli.latency.android import parse_output
from mnasnet_cli.metrics.coco_files import parse_detections, parse_ground_truth
from mnasnet_cli.records.dataset_info import load_dataset_info
from mnasnet_cli.records.tfrecord import decode_example
from mnasnet_cli.runs.run_files import read_environment, read_evaluation, read_metrics, read_results, read_times

quick = settings(
    max_examples=30, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

# Keys that the readers look for, so that what lies below them is read.
KEYS = (
    "kind", "classes", "splits", "train", "examples", "shard_examples", "per_class", "fingerprint", "plan", "task",
    "cluster", "worker", "type", "index", "format", "preprocessing", "postprocessing", "labels", "names", "step",
    "split", "seconds", "images", "annotations", "categories", "id", "name", "image_id", "category_id", "bbox",
    "score", "training", "epochs", "data", "model", "variant", "confusion", "curves", "recall", "precision",
)  # fmt: skip
words = st.sampled_from(("imagenet", "coco", "classifier", "train", "b1", "", "\ud800", "a\0b", "\x1b[31m", "n" * 5000))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5)
trees = st.recursive(
    scalars,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inside, max_size=6),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(KEYS), trees, max_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("read")


def _write(path: Path, content: Any) -> None:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def _journal(folder: Path) -> None:
    Journal(folder / "dataset.json", {"seed": 0}).load()


def _run(folder: Path) -> None:
    read_metrics(folder)
    read_environment(folder)
    read_results(folder)
    read_evaluation(folder, "classification")
    read_times(folder)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "dataset": ("dataset.json", load_dataset_info),
    "journal": ("dataset.json", _journal),
    "metrics": ("metrics.jsonl", _run),
    "environment": ("environment.json", _run),
    "results": ("results.json", _run),
    "evaluation": ("evaluation.json", _run),
    "recipe": ("recipe.yaml", lambda folder: load_config(str(folder / "recipe.yaml"))),
}


@pytest.mark.parametrize("name", FILES)
@quick
@given(content=objects | trees | st.binary(max_size=60))
def test_files(name: str, content: Any, folder: Path) -> None:
    file, read = FILES[name]
    _write(folder / file, content)
    with contextlib.suppress(MnasnetError):
        read(folder)
    (folder / file).unlink()


TEXTS: dict[str, Callable[[str], object]] = {
    "manifest": parse_manifest,
    "android": parse_output,
    "labels.csv": lambda text: read_rows("a.csv", text.encode("utf-8", "surrogateescape"), lambda _: True, bool),
    "labels.jsonl": lambda text: read_rows("a.jsonl", text.encode("utf-8", "surrogateescape"), lambda _: True, bool),
}


@pytest.mark.parametrize("name", TEXTS)
@quick
@given(content=objects | trees, text=st.text(max_size=60))
def test_texts(name: str, content: Any, text: str) -> None:
    for one in (json.dumps(content), text.encode("utf-8", "replace").decode()):
        with contextlib.suppress(MnasnetError):
            TEXTS[name](one)


@quick
@given(content=objects)
def test_the_cluster(content: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps(content))
    with contextlib.suppress(MnasnetError):
        read_cluster()


@quick
@given(rows=st.lists(objects, max_size=3), tree=trees)
def test_coco_files(rows: Any, tree: Any) -> None:
    for content in (tree, {"images": rows, "annotations": rows, "categories": rows}):
        with contextlib.suppress(MnasnetError):
            parse_ground_truth(content, "a.json")
    for content in (tree, rows):
        with contextlib.suppress(MnasnetError):
            parse_detections(content, "a.json")


@quick
@given(data=st.binary(max_size=80))
def test_examples(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode_example(data)


@pytest.mark.parametrize("name", ["image", "manifest", "report", "android", "recipe", "coco"])
def test_a_few_cases_of_the_fuzzer(name: str, tmp_path: Path) -> None:
    [target] = [one for one in targets() if one.name == name]
    (tmp_path / "sound").mkdir()
    target.make(tmp_path / "sound")
    for number in range(2 if name == "coco" else 12):
        outcome = run_case(target, tmp_path / "sound", number, 0, tmp_path / f"work-{number}")
        assert outcome in ("read", "refused"), outcome
